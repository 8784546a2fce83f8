import test from "ava";
import { fieldAt, withField } from "../../../src/kube/field-path.js";

const OBJECT = {
  spec: {
    list: [
      { name: "a", x: 1 },
      { name: "b", x: 2 },
    ],
    kept: [1],
  },
};
const AT = ["spec", "list", { name: "b" }, "x"];

test("one field is read and set, and everything else stays", (t) => {
  t.is(fieldAt(OBJECT, AT), 2);
  t.deepEqual(withField(OBJECT, AT, 3), {
    spec: {
      list: [
        { name: "a", x: 1 },
        { name: "b", x: 3 },
      ],
      kept: [1],
    },
  });
  t.is(fieldAt(OBJECT, AT), 2, "the given object is unchanged");
  t.is(fieldAt(OBJECT, ["spec", "list", { name: "c" }, "x"]), undefined);
  t.is(fieldAt(OBJECT, ["spec", "kept", "x"]), undefined);
});

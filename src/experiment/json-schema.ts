import * as z from "zod";
import { API_VERSION, experimentSchema } from "./schema.js";

/**
 * The JSON Schema (draft 7) of the experiment file, for completion and checks in editors. It is less strict than
 * `chaos validate`, which also checks the bounds of durations and the rules across keys.
 */
export function experimentJsonSchema(): object {
  const { $schema, ...rest } = z.toJSONSchema(experimentSchema, { target: "draft-7", io: "input" });
  return { $schema, $id: `urn:${API_VERSION.replace("/", ":")}:experiment`, title: "Experiment", ...rest };
}

import * as z from "zod";
import { API_VERSION, experimentSchema } from "./schema.js";

/**
 * The JSON Schema (draft 7) of the experiment file as it is written, for completion and checks in editors. It
 * is looser than the validation: bounds of durations and rules across keys are left to `chaos validate`.
 */
export function experimentJsonSchema(): object {
  const { $schema, ...rest } = z.toJSONSchema(experimentSchema, { target: "draft-7", io: "input" });
  return { $schema, $id: `urn:${API_VERSION.replace("/", ":")}:experiment`, title: "Experiment", ...rest };
}

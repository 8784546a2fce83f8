import { experimentJsonSchema } from "../experiment/json-schema.js";

/** The text of `chaos schema`, which is also that of `experiments/experiment.schema.json`. */
export function schemaText(): string {
  return `${JSON.stringify(experimentJsonSchema(), null, 2)}\n`;
}

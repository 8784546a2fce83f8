/** Floors, top to bottom, each with its rooms (folders of src/, and cli.ts). */
export type Floors = readonly (readonly string[])[];

/** The floors as a Markdown table. */
export function floorsTable(floors: Floors): string {
  const rows = floors.map(
    (rooms, index) => `| ${floors.length - index} | ${rooms.map((room) => `\`${room}\``).join(" · ")} |`,
  );
  return ["| Floor | Rooms |", "| ---: | --- |", ...rows].join("\n");
}

// Makes dependency-cruiser's rules from scripts/floors.mjs: `npm run lint:floors`.
import { FLOORS, PACKAGES, UNREACHABLE } from "./scripts/floors.mjs";

const severity = /** @type {const} */ ("error");

/** @param {readonly string[]} names */
const anyOf = (names) => `(${names.map((name) => name.replaceAll(/[./]/g, "\\$&")).join("|")})`;

/** Files of rooms. @param {readonly string[]} rooms */
const filesOf = (rooms) => `^src/${anyOf(rooms)}(/|\\.ts$)`;

/** Files of npm packages, also where node_modules is a link. @param {readonly string[]} packages */
const packageFiles = (packages) => `(^|/)node_modules/${anyOf(packages)}/`;

const floors = FLOORS.flatMap((floor, index) => {
  const below = FLOORS.slice(index + 1).flat();
  return floor.map((room) => ({
    name: `floor-of-${room}`,
    comment: `${room} imports only ${[room, ...below].join(", ")}: lower floors and itself`,
    severity,
    from: { path: filesOf([room]) },
    to: { path: "^src/", pathNot: filesOf([room, ...below]) },
  }));
});

const packages = FLOORS.flat().map((room) => ({
  name: `packages-of-${room}`,
  comment: `${room} uses ${PACKAGES[room]?.join(", ") ?? "none"} of the npm packages`,
  severity,
  // bundle.mjs is part of the build.
  from: { path: filesOf([room]), pathNot: "/bundle\\.mjs$" },
  to: {
    path: "(^|/)node_modules/",
    ...(PACKAGES[room] === undefined ? {} : { pathNot: packageFiles(PACKAGES[room]) }),
  },
}));

const unreachable = UNREACHABLE.map(({ name, from, packages, rooms, why }) => ({
  name,
  comment: why,
  severity,
  from: { path: from },
  to: { path: `${packageFiles(packages)}|${filesOf(rooms)}`, reachable: true },
}));

/** @satisfies {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    ...floors,
    ...packages,
    ...unreachable,
    {
      name: "every-room-has-a-floor",
      comment: "A file outside the rooms of scripts/floors.mjs would be held to nothing.",
      severity,
      from: { path: "^src/", pathNot: filesOf(FLOORS.flat()) },
      to: {},
    },
    {
      name: "no-circle",
      comment: "Files of a circle can only be understood, tested and started together.",
      severity,
      from: {},
      to: { circular: true },
    },
    {
      name: "no-test-in-src",
      comment: "What is released does not depend on what is not.",
      severity,
      from: { path: "^src/" },
      to: { path: "^(test|scripts|build|dist)/" },
    },
    {
      name: "all-found",
      comment: "An import that leads nowhere is held to no rule.",
      severity,
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsConfig: { fileName: "tsconfig.json" },
    // Imports of types count: they tie files together as well.
    tsPreCompilationDeps: true,
    detectJSDocImports: true,
  },
};

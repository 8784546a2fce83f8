import js from "@eslint/js";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["build/", "dist/", "node_modules/", "reports/"] },
  js.configs.recommended,
  {
    files: ["**/*.{ts,tsx}"],
    extends: [...tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: {
        // The script of the pages runs in a browser.
        project: ["./tsconfig.json", "./src/report/html/page/tsconfig.json"],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      "@typescript-eslint/explicit-function-return-type": ["error", { allowExpressions: true }],
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      complexity: ["error", 15],
      "max-depth": ["error", 3],
      "max-params": ["error", 5],
    },
  },
  {
    // Only the command line's edge, and the programs that run in pods, print or exit.
    files: ["src/**/*.ts"],
    ignores: ["src/cli.ts", "src/probes/agent/**", "src/nodes/agent/**", "src/addons/sink/**"],
    rules: {
      "no-console": "error",
      "no-restricted-properties": [
        "error",
        { object: "process", property: "exit", message: "Only src/cli.ts exits." },
        { object: "process", property: "argv", message: "Only src/cli.ts reads argv." },
        { object: "process", property: "exitCode", message: "Only src/cli.ts sets the exit code." },
      ],
    },
  },
  {
    files: ["**/*.mjs"],
    languageOptions: {
      globals: {
        process: "readonly",
        console: "readonly",
        Buffer: "readonly",
        URL: "readonly",
        setTimeout: "readonly",
        clearTimeout: "readonly",
        setInterval: "readonly",
        clearInterval: "readonly",
        performance: "readonly",
        setImmediate: "readonly",
      },
    },
  },
);

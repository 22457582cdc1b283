import { defineConfig } from "vite";

// The viewer for notebooks: one module with its styles in it, beside the page.
export default defineConfig({
  build: {
    outDir: "../src/friedel/web/static",
    emptyOutDir: false,
    lib: { entry: "src/widget.ts", formats: ["es"], fileName: () => "widget.js" },
  },
});

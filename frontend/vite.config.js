import { defineConfig } from "vite";

// Relative addresses, so that the page works under any path of a proxy; fixed names, so that a rebuild gives the same files.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../src/friedel/web/static",
    emptyOutDir: true,
    assetsDir: ".",
    modulePreload: { polyfill: false },
    rollupOptions: { output: { entryFileNames: "page.js", chunkFileNames: "[name].js", assetFileNames: "[name][extname]" } },
  },
});

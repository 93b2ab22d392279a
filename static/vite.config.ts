import { defineConfig } from "vitest/config";

export default defineConfig({
  build: {
    target: "es2022",
    // The pages are served with the policy "default-src 'self'": a data: address would be refused.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: [
        "index.html",
        "room.html",
        "sign-in.html",
        "reset.html",
        "dashboard.html",
        "mail.html",
        "operations.html",
      ],
    },
  },
  test: { include: ["test/**/*.test.ts"] },
});

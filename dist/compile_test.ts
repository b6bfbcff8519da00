import assert from "node:assert/strict";
import { embeddedFiles } from "./compile.ts";

Deno.test("embeddedFiles() reads the compiler's tree, files and folders alike", () => {
  const said = `Compile file:///tmp/x/bundle/main.js to /tree/dist/knet

Embedded Files

knet
├── bundle/* (1.03MB)
├─┬ dist (760.25KB)
│ └── lib/* (700KB)
├── .deno_compile_node_modules/localhost/x/1.0.0/* (1KB)
└── stray.txt (4B)

Files: 1.78MB
`;
  assert.deepEqual(embeddedFiles(said), [
    "bundle",
    "dist",
    ".deno_compile_node_modules",
    "stray.txt",
  ]);
});

Deno.test("embeddedFiles() takes no other output for the tree", () => {
  assert.deepEqual(embeddedFiles("├── bundle/* (1.03MB)\n"), []);
});

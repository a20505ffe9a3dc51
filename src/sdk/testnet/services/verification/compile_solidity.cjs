// Compiles what is on the standard input with a soljson.js, to the standard output: `node compile_solidity.cjs SOLJSON`.
// No callback for files is given to the compiler: what an input imports has to be in it.
const { readFileSync, writeSync } = require("node:fs");

const soljson = require(process.argv[2]);
const compile = soljson.cwrap("solidity_compile", "string", ["string", "number", "number"]);
const answer = Buffer.from(compile(readFileSync(0, "utf8"), 0, 0));
for (let written = 0; written < answer.length; ) {
  try {
    written += writeSync(1, answer, written);
  } catch (error) {
    if (error.code !== "EAGAIN") throw error; // the reader is slower than we
  }
}

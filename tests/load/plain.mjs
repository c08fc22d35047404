// What a team would write in Node: parse → find the element → JSON → schema → decide in memory.
//
// Usage: node tests/load/plain.mjs CORPUS [ROUNDS]    on one core: taskset -c 0
//
// Needs, from npm, in the working directory: mailparser cheerio ajv ajv-formats.
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "package.json"));
const { simpleParser } = require("mailparser");
const cheerio = require("cheerio");
const Ajv = require("ajv/dist/2020");
const formats = require("ajv-formats");

const schema = JSON.parse(readFileSync(new URL("../../schema/incident-data.schema.json", import.meta.url)));
const ajv = new Ajv({ strict: false });
formats(ajv);
const valid = ajv.compile(schema);

const [folder, rounds = 3] = process.argv.slice(2);
const mails = readdirSync(folder).filter((name) => name.endsWith(".eml")).sort().map((name) => readFileSync(join(folder, name)));

async function run() {
  const state = new Map();
  let told = 0;
  for (const raw of mails) {
    try {
      const mail = await simpleParser(raw, { skipTextToHtml: true, skipImageLinks: true });
      const alert = JSON.parse(cheerio.load(mail.html)("script#incident-data[type='application/json']").text());
      if (!valid(alert) || state.get(alert.incidentId) === alert.incidentStatus) continue;
      state.set(alert.incidentId, alert.incidentStatus);
      told += 1;
    } catch {
      // No alert.
    }
  }
  return told;
}

const took = [];
let told;
for (let round = 0; round < rounds; round++) {
  const begun = process.hrtime.bigint();
  told = await run();
  took.push(Number(process.hrtime.bigint() - begun) / 1e3 / mails.length);
}
took.sort((a, b) => a - b);
console.log(`Node, plain: ${took[took.length >> 1].toFixed(0)} µs a mail, ${told} to tell of ${mails.length}`);

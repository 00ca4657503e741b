// What the JavaScript programs share, as cases.py is for Python.
import { readFileSync } from "node:fs";

const { FLEET, CLOSED, BUSY, SLOW, CALLING } = process.env;
const IDLE_MS = 20_000;

export const routers = { fleet: FLEET, closed: CLOSED, busy: BUSY, slow: SLOW, calling: CALLING };
export const MODEL = "flamingo-tiny";
export const QUESTION = "What key is it in?";
export const SECOND_QUESTION = "And which tempo?";
export const WORDS = 16;
export const ENOUGH = 1000;
export const TOO_LONG = "la ".repeat(20000);
export const songBytes = readFileSync("song.mp3");
export const song = songBytes.toString("base64");

// Whether the pod of a router stops working, while this process still runs.
export async function untilIdle(router) {
  const giveUp = Date.now() + IDLE_MS;
  while (Date.now() < giveUp) {
    const { endpoints } = await (await fetch(`${router}/fleet`)).json();
    if (endpoints[0].num_open === 0) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

function fullNames(error) {
  const names = [];
  for (let kind = error.constructor; kind?.name; kind = Object.getPrototypeOf(kind)) {
    names.push(kind.name);
  }
  return names;
}

async function outcome(run) {
  try {
    return { returned: (await run()) ?? null };
  } catch (error) {
    return { raised: fullNames(error), message: String(error.message) };
  }
}

export async function run(cases) {
  const outcomes = {};
  for (const [name, each] of Object.entries(cases)) outcomes[name] = await outcome(each);
  console.log(JSON.stringify(outcomes));
}

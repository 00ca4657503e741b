// Vercel's AI SDK, with the provider that PROVIDER names.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  Output,
  embed,
  generateObject,
  generateText,
  stepCountIs,
  streamObject,
  streamText,
  tool,
} from "ai";
import { z } from "zod";

import * as shared from "./cases.mjs";

const { routers, MODEL } = shared;
const Song = z.object({
  genre: z.enum(["rock", "pop", "jazz"]),
  tempo: z.number().int().min(40).max(220),
  has_vocals: z.boolean(),
});
const content = [
  { type: "text", text: shared.QUESTION },
  { type: "file", data: shared.songBytes, mediaType: "audio/mpeg" },
];
const messages = [{ role: "user", content }];
const providers = {
  openai: (router) => createOpenAI({ baseURL: `${router}/v1`, apiKey: "none" }).chat,
  // Without `chat` it speaks /v1/responses.
  "openai-responses": (router) => createOpenAI({ baseURL: `${router}/v1`, apiKey: "none" }),
  "openai-compatible": (router) =>
    createOpenAICompatible({
      name: "flamingo",
      baseURL: `${router}/v1`,
      includeUsage: true,
      supportsStructuredOutputs: true,
    }),
};
const modelOf = (router, name = MODEL) => providers[process.env.PROVIDER](router)(name);
// Of /v1/responses only: nothing is stored, and audio is a file like any other.
const providerOptions = { openai: { store: false, passThroughUnsupportedFiles: true } };
const asked = {
  model: modelOf(routers.fleet),
  messages,
  maxOutputTokens: shared.WORDS,
  maxRetries: 0,
  ...(process.env.PROVIDER === "openai-responses" && { providerOptions }),
};
const typed = { ...asked, maxOutputTokens: shared.ENOUGH };
const tools = { song: tool({ description: "Adds a song.", inputSchema: Song }) };

function hello(router) {
  return { model: modelOf(router), prompt: "Hi", maxRetries: 0 };
}

await shared.run({
  async answer() {
    const { text, usage } = await generateText(asked);
    return { text, usage: { prompt_tokens: usage.inputTokens } };
  },
  async stream() {
    let text = "";
    for await (const delta of streamText(asked).textStream) text += delta;
    return text;
  },
  async stream_usage() {
    const answer = streamText(asked);
    await answer.consumeStream();
    return [(await answer.usage).inputTokens];
  },
  typed: async () => (await generateText({ ...typed, output: Output.object({ schema: Song }) })).output,
  generated_object: async () => (await generateObject({ ...typed, schema: Song })).object,
  async streamed_object() {
    const answer = streamObject({ ...typed, schema: Song });
    for await (const _ of answer.partialObjectStream);
    return await answer.object;
  },
  async called_function() {
    const toolChoice = { type: "tool", toolName: "song" };
    return (await generateText({ ...typed, tools, toolChoice })).toolCalls[0].input;
  },
  async any_function() {
    return (await generateText({ ...typed, tools, toolChoice: "required" })).toolCalls[0].input;
  },
  async streamed_call() {
    const { toolCalls } = streamText({ ...typed, tools, toolChoice: "required" });
    return (await toolCalls)[0].input;
  },
  async left_to_the_model() {
    const { text, toolCalls } = streamText({ ...typed, model: modelOf(routers.calling), tools });
    return [await text, (await toolCalls)[0].input];
  },
  async after_a_result() {
    const execute = async () => ({ added: true });
    const song = tool({ description: "Adds a song.", inputSchema: Song, execute });
    const prepareStep = ({ stepNumber }) => ({ toolChoice: stepNumber ? "none" : "required" });
    const stopWhen = stepCountIs(2);
    return (await generateText({ ...typed, tools: { song }, prepareStep, stopWhen })).text;
  },
  async second_turn() {
    const said = (await generateText(asked)).response.messages;
    const again = [{ type: "text", text: shared.SECOND_QUESTION }, content[1]];
    const turns = [...messages, ...said, { role: "user", content: again }];
    return (await generateText({ ...asked, messages: turns })).usage.inputTokens;
  },
  async embedding() {
    const provider = createOpenAI({ baseURL: `${routers.fleet}/v1`, apiKey: "none" });
    const value = `data:audio/mpeg;base64,${shared.song}`;
    return (await embed({ model: provider.embedding(MODEL), value })).embedding;
  },
  unknown_model: () => generateText({ ...asked, model: modelOf(routers.fleet, "gpt-4o") }),
  without_key: () => generateText(hello(routers.closed)),
  busy: () => generateText(hello(routers.busy)),
  too_long: () => generateText({ ...asked, messages: [{ role: "user", content: shared.TOO_LONG }] }),
  async closed_stream() {
    const abort = new AbortController();
    const { textStream } = streamText({ ...hello(routers.slow), abortSignal: abort.signal });
    for await (const _ of textStream) break;
    abort.abort();
    return await shared.untilIdle(routers.slow);
  },
});

// The official client for JavaScript.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
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
  { type: "input_audio", input_audio: { data: shared.song, format: "mp3" } },
];
const asked = { model: MODEL, messages: [{ role: "user", content }], max_tokens: shared.WORDS };
const hello = { model: MODEL, messages: [{ role: "user", content: "Hi" }] };
const tooLong = [{ role: "user", content: shared.TOO_LONG }];

function completionsOf(router) {
  const client = new OpenAI({ baseURL: `${router}/v1`, apiKey: "none", maxRetries: 1 });
  return client.chat.completions;
}

const completions = completionsOf(routers.fleet);

await shared.run({
  async answer() {
    const { choices, usage } = await completions.create(asked);
    return { text: choices[0].message.content, usage };
  },
  async stream() {
    let text = "";
    for await (const chunk of await completions.create({ ...asked, stream: true })) {
      text += chunk.choices[0].delta.content ?? "";
    }
    return text;
  },
  async typed() {
    const response_format = zodResponseFormat(Song, "song");
    const parameters = { ...asked, max_tokens: shared.ENOUGH, response_format };
    return (await completions.parse(parameters)).choices[0].message.parsed;
  },
  async called_function() {
    const tools = [zodFunction({ name: "song", parameters: Song })];
    const parameters = { ...asked, max_tokens: shared.ENOUGH, tools, tool_choice: "required" };
    const { choices } = await completions.parse(parameters);
    return choices[0].message.tool_calls[0].function.parsed_arguments;
  },
  async streamed_call() {
    const tools = [zodFunction({ name: "song", parameters: Song })];
    const tool_choice = { type: "function", function: { name: "song" } };
    const stream = completions.stream({ ...asked, max_tokens: shared.ENOUGH, tools, tool_choice });
    const { choices } = await stream.finalChatCompletion();
    return choices[0].message.tool_calls[0].function.parsed_arguments;
  },
  async after_a_result() {
    const tools = [zodFunction({ name: "song", parameters: Song })];
    const parameters = { ...asked, max_tokens: shared.ENOUGH, tools, tool_choice: "required" };
    const { choices } = await completions.stream(parameters).finalChatCompletion();
    const said = choices[0].message;
    const result = { role: "tool", tool_call_id: said.tool_calls[0].id, content: "It was added." };
    const messages = [...asked.messages, said, result];
    return (await completions.create({ ...asked, messages })).choices[0].message.content;
  },
  async second_turn() {
    const said = (await completions.create(asked)).choices[0].message;
    const again = [{ type: "text", text: shared.SECOND_QUESTION }, content[1]];
    const messages = [...asked.messages, said, { role: "user", content: again }];
    return (await completions.create({ ...asked, messages })).usage.prompt_tokens;
  },
  async embedding() {
    const client = new OpenAI({ baseURL: `${routers.fleet}/v1`, apiKey: "none" });
    const input = `data:audio/mpeg;base64,${shared.song}`;
    return (await client.embeddings.create({ model: MODEL, input })).data[0].embedding;
  },
  refused: () => completions.create({ ...asked, store: true }),
  unknown_model: () => completions.create({ ...asked, model: "gpt-4o" }),
  without_key: () => completionsOf(routers.closed).create(hello),
  busy: () => completionsOf(routers.busy).create(hello),
  too_long: () => completions.create({ ...asked, messages: tooLong }),
  async closed_stream() {
    const stream = await completionsOf(routers.slow).create({ ...hello, stream: true });
    for await (const _ of stream) break;
    return await shared.untilIdle(routers.slow);
  },
});

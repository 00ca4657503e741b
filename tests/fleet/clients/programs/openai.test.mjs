// OpenAI's JavaScript client against a router with two pods. Run by tests/fleet/clients/test_openai_js.py,
// which passes their addresses in the environment.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import OpenAI from "openai";

const MODEL = "flamingo-tiny";
const song = readFileSync("song.mp3").toString("base64");
const client = new OpenAI({ baseURL: process.env.FLEET, apiKey: "none", maxRetries: 0 });

function messagesAbout(text) {
  const audio = { type: "input_audio", input_audio: { data: song, format: "mp3" } };
  return [{ role: "user", content: [audio, { type: "text", text }] }];
}

test("models are listed and retrieved", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.deepEqual(names, [MODEL]);
  assert.equal((await client.models.retrieve(MODEL)).object, "model");
});

test("a stream adds up to the complete answer", async () => {
  const parameters = { model: MODEL, messages: messagesAbout("What key is it in?"), max_completion_tokens: 24 };
  const { data: whole, request_id: id } = await client.chat.completions
    .create(parameters)
    .withResponse();
  assert.match(id, /^req-/);
  assert.ok(whole.usage.prompt_tokens_details.audio_tokens > 30);
  const options = { stream: true, stream_options: { include_usage: true } };
  let text = "";
  let usage = null;
  for await (const chunk of await client.chat.completions.create({ ...parameters, ...options })) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(usage.total_tokens, whole.usage.total_tokens);
});

test("the stream helper yields every delta and the completion", async () => {
  const parameters = { model: MODEL, messages: messagesAbout("What key is it in?"), max_completion_tokens: 24 };
  const stream = client.chat.completions.stream(parameters);
  let text = "";
  stream.on("content", (delta) => (text += delta));
  const completion = await stream.finalChatCompletion();
  assert.equal(text, completion.choices[0].message.content);
  assert.equal(completion.choices[0].finish_reason, "length");
});

test("several choices come with their log-probabilities", async () => {
  const answer = await client.chat.completions.create({
    model: MODEL,
    messages: messagesAbout("What key is it in?"),
    n: 2,
    seed: 3,
    temperature: 1,
    max_completion_tokens: 5,
    logprobs: true,
    top_logprobs: 2,
  });
  for (const choice of answer.choices) {
    const entries = choice.logprobs.content;
    assert.equal(entries.map((entry) => entry.token).join(""), choice.message.content);
    assert.ok(entries.every((entry) => entry.top_logprobs.length === 2));
  }
  assert.equal(answer.choices.length, 2);
});

test("structured output matches the requested schema", async () => {
  const schema = {
    type: "object",
    properties: { genre: { enum: ["rock", "jazz"] }, has_vocals: { type: "boolean" } },
    required: ["genre", "has_vocals"],
    additionalProperties: false,
  };
  const answer = await client.chat.completions.parse({
    model: MODEL,
    messages: messagesAbout("Describe it."),
    response_format: { type: "json_schema", json_schema: { name: "song", strict: true, schema } },
    logit_bias: JSON.parse(process.env.NO_SPACES),
  });
  const { genre, has_vocals: hasVocals } = JSON.parse(answer.choices[0].message.content);
  assert.ok(["rock", "jazz"].includes(genre));
  assert.equal(typeof hasVocals, "boolean");
});

test("base64 embeddings, which the client requests by default, equal float embeddings", async () => {
  const input = `data:audio/mpeg;base64,${song}`;
  const packed = await client.embeddings.create({ model: MODEL, input });
  const plain = await client.embeddings.create({ model: MODEL, input, encoding_format: "float" });
  assert.equal(packed.data[0].embedding.length, 64);
  const single = (values) => Array.from(Float32Array.from(values));
  assert.deepEqual(single(packed.data[0].embedding), single(plain.data[0].embedding));
  const two = await client.embeddings.create({ model: MODEL, input: [input, input] });
  assert.deepEqual(two.data[1].embedding, packed.data[0].embedding);
  assert.equal(two.usage.prompt_tokens, 2 * packed.usage.prompt_tokens);
});

const hello = { model: MODEL, messages: [{ role: "user", content: "Hi" }] };
const refusals = [
  [{ model: "gpt-4o" }, OpenAI.NotFoundError, "model_not_found"],
  [{ messages: [] }, OpenAI.BadRequestError, "invalid_request"],
  [{ store: true }, OpenAI.BadRequestError, "unsupported_parameter"],
];
for (const [changes, kind, code] of refusals) {
  test(`an error raises the class of the openai package: ${code}`, async () => {
    await assert.rejects(client.chat.completions.create({ ...hello, ...changes }), (error) => {
      assert.ok(error instanceof kind);
      assert.equal(error.code, code);
      assert.match(error.requestID, /^req-/);
      return true;
    });
  });
}

// The tests below use fake pods that fail.

function clientOf(address, options = {}) {
  return new OpenAI({ baseURL: `${address}/v1`, apiKey: "none", ...options });
}

test("an overloaded pod is retried after retry-after-ms", async () => {
  const started = performance.now();
  const answer = await clientOf(process.env.BUSY_TWICE).chat.completions.create(hello);
  assert.equal(answer.choices[0].message.content, "a quiet song");
  assert.ok(performance.now() - started >= 2 * Number(process.env.RETRY_AFTER_MS));
});

test("a slow response is a timeout", async () => {
  const client = clientOf(process.env.SILENT, { timeout: 300, maxRetries: 0 });
  await assert.rejects(client.chat.completions.create(hello), OpenAI.APIConnectionTimeoutError);
});

test("a pod that crashes during a stream is an error event", async () => {
  const client = clientOf(process.env.DYING, { maxRetries: 0 });
  let text = "";
  await assert.rejects(
    async () => {
      for await (const chunk of await client.chat.completions.create({ ...hello, stream: true })) {
        text += chunk.choices[0]?.delta.content ?? "";
      }
    },
    (error) => error instanceof OpenAI.APIError && error.code === "upstream_lost",
  );
  assert.equal(text, "a quiet ");
});

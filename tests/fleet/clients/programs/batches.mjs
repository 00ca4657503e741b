// Files and batches with the official client for JavaScript. Prints what became of each line.
import OpenAI, { toFile } from "openai";

const client = new OpenAI({ baseURL: process.env.BATCHES, apiKey: "none" });
const lines = [1, 2, 3].map((number) => ({
  custom_id: `line-${number}`,
  method: "POST",
  url: "/v1/chat/completions",
  body: { messages: [{ role: "user", content: `question ${number}` }] },
}));
const text = lines.map((line) => JSON.stringify(line)).join("\n");
const input = await client.files.create({
  file: await toFile(Buffer.from(text), "lines.jsonl"),
  purpose: "batch",
  expires_after: { anchor: "created_at", seconds: 3600 },
});
let batch = await client.batches.create({
  input_file_id: input.id,
  endpoint: "/v1/chat/completions",
  completion_window: "24h",
  metadata: { album: "Blue" },
});
while (["validating", "in_progress", "finalizing"].includes(batch.status)) {
  batch = await client.batches.retrieve(batch.id);
}
const output = await (await client.files.content(batch.output_file_id)).text();
const answers = output.trim().split("\n").map((line) => JSON.parse(line));
const listed = [];
for await (const file of client.files.list({ limit: 1 })) listed.push(file.id);
const found = (await client.batches.list({ limit: 1 })).data.map((each) => each.id);
const deleted = await client.files.delete(input.id);
const refused = await client.batches.cancel(batch.id).catch((error) => error.status);
console.log(
  JSON.stringify({
    status: batch.status,
    counts: batch.request_counts,
    metadata: batch.metadata,
    answered: answers.map((each) => each.custom_id).sort(),
    isListed: listed.length === 2 && listed.includes(batch.output_file_id),
    isFound: found[0] === batch.id,
    isDeleted: deleted.deleted,
    refused,
  }),
);

// The same two reads as the platform's, as one would write them with Fastify, pg and jose: one process per core, the
// keys and each member's standing cached, answers serialised by schema, statements prepared.

import cluster from "node:cluster";
import Fastify from "fastify";
import { authenticate } from "./caller.js";
import { inTenant, pool } from "./database.js";
import { page, point } from "./videos.js";

const setting = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
};

const nullable = (type) => ({ type, nullable: true });
const moment = { type: "string", format: "date-time" };

const position = {
  type: "object",
  nullable: true,
  properties: { position_seconds: { type: "number" }, completed: { type: "boolean" }, recorded_at: moment },
};

const video = {
  type: "object",
  properties: {
    id: { type: "string" },
    scope: { type: "string" },
    title: { type: "string" },
    description: { type: "string" },
    status: { type: "string" },
    rejection: {
      type: "object",
      nullable: true,
      properties: { code: { type: "string" }, detail: { type: "string" } },
    },
    content_type: { type: "string" },
    size_bytes: { type: "integer" },
    container: nullable("string"),
    video_codec: nullable("string"),
    audio_codec: nullable("string"),
    width: nullable("integer"),
    height: nullable("integer"),
    duration_seconds: nullable("number"),
    published_at: { ...moment, nullable: true },
    created_by: nullable("string"),
    created_at: moment,
    updated_at: moment,
    progress: position,
  },
};

const videos = {
  type: "object",
  properties: { items: { type: "array", items: video }, next_cursor: nullable("string") },
};

const byId = {
  params: { type: "object", properties: { id: { type: "string", format: "uuid" } } },
  response: { 200: video },
};

const list = {
  querystring: {
    type: "object",
    properties: { limit: { type: "integer", minimum: 1, maximum: 100, default: 20 }, cursor: { type: "string" } },
  },
  response: { 200: videos },
};

async function serve() {
  const app = Fastify({ logger: false });
  app.decorateRequest("caller", null);
  app.addHook("onRequest", async (request, reply) => {
    request.caller = await authenticate(request.headers.authorization);
    if (!request.caller) return reply.code(401).send({ title: "The token is not valid." });
  });
  app.get("/api/v1/videos/:id", { schema: byId }, async (request, reply) => {
    const found = await inTenant(request.caller, (client) => point(client, request.caller, request.params.id));
    return found ?? reply.code(404).send({ title: "Not found." });
  });
  app.get("/api/v1/videos", { schema: list }, async (request) =>
    inTenant(request.caller, (client) => page(client, request.caller, request.query)),
  );
  app.addHook("onClose", () => pool.end());
  await app.listen({ host: "127.0.0.1", port: Number(setting("PORT")) });
}

const workers = Number(setting("WORKERS"));
if (cluster.isPrimary && workers > 1) {
  for (let n = 0; n < workers; n += 1) cluster.fork();
  cluster.on("exit", () => process.exit(1));
} else {
  await serve();
}

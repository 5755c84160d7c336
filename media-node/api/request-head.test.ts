import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRequestHead, repeatRequestHead } from "./request-head.ts";

const fieldLines = "Host: a.example:8080\r\nAccept-Encoding: gzip\r\nUser-Agent: player\r\n\r\n";
const parse = (text: string) => parseRequestHead(Buffer.from(text, "latin1"), text.length);

test("a plain head is read, and no prefix of it is taken for one", () => {
  const text = `GET /app/stream/part.m4s?session=x HTTP/1.1\r\n${fieldLines}`;
  const head = parse(text);
  assert.ok(head);
  const { method, url, size, fields } = head;
  assert.deepEqual({ method, url, size }, { method: "GET", url: "/app/stream/part.m4s?session=x", size: text.length });
  assert.deepEqual(
    [fields.host, fields.keepsAlive, fields.headers.get("accept-encoding")],
    ["a.example:8080", true, "gzip"],
  );
  for (let length = 0; length < text.length; length++) {
    assert.equal(repeatRequestHead(Buffer.from(text.slice(0, length)), fields), undefined, `${length}`);
  }
});

test("what is no plain question is left to another parser", () => {
  const lines = fieldLines;
  for (const text of [
    `POST / HTTP/1.1\r\n${lines}`,
    `GET  / HTTP/1.1\r\n${lines}`,
    `GET /a b HTTP/1.1\r\n${lines}`,
    `GET /\x7f HTTP/1.1\r\n${lines}`,
    `GET /\xe9 HTTP/1.1\r\n${lines}`,
    `GET http://a/ HTTP/1.1\r\n${lines}`,
    `GET / HTTP/1.0\r\n${lines}`,
    `GET / HTTP/1.1\n${lines}`,
    `get / HTTP/1.1\r\n${lines}`,
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nAccept: x\r\n\r\n",
    `GET / HTTP/1.1\r\nHost: b\r\n${lines}`,
    `GET / HTTP/1.1\r\nContent-Length: 0\r\n${lines}`,
    `GET / HTTP/1.1\r\nX : 1\r\n${lines}`,
    `GET / HTTP/1.1\r\nConnection: upgrade\r\n${lines}`,
  ]) {
    assert.equal(parse(text), undefined, JSON.stringify(text));
  }
});

test("a head that differs from the one before in its first line only is told at a glance, and no other", () => {
  const { fields } = parse(`GET /a HTTP/1.1\r\n${fieldLines}`)!;
  const second = `HEAD /b HTTP/1.1\r\n${fieldLines}`;
  const behind = Buffer.from(`${second}GET /c HTTP/1.1\r\n`);
  assert.deepEqual(repeatRequestHead(behind, fields), { method: "HEAD", url: "/b", fields, size: second.length });
  const others = [
    fieldLines.replace("gzip", "gzap"),
    `X: 1\r\n${fieldLines}`,
    fieldLines.replace("\r\n\r\n", "\r\nX: 1\r\n\r\n"),
  ];
  for (const other of others) {
    const text = `GET /a HTTP/1.1\r\n${other}`;
    assert.equal(repeatRequestHead(Buffer.from(text), fields), undefined);
    assert.notEqual(parse(text)!.fields, fields);
  }
});

test("all connections that say the same share what was read of it", () => {
  const text = `GET /a HTTP/1.1\r\n${fieldLines}`;
  assert.equal(parse(text)!.fields, parse(text)!.fields);
});

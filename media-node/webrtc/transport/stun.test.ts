import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../../flow/errors.ts";
import {
  errorCode,
  isIntegrityTrue,
  parseStun,
  serializeStun,
  stunAttributes,
  stunTypes,
  xorMappedAddress,
} from "./stun.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");
const password = "VOkJxbRl1RmTxUk/WvJxBt";
const transactionId = "b7e7a701bc34d686fa87dfae";

// RFC 5769 §2.1, §2.2, §2.3
const request = hex(`00010058 2112a442 b7e7a701 bc34d686 fa87dfae 80220010 5354554e 20746573 7420636c 69656e74 00240004
  6e0001ff 80290008 932ff9b1 51263b36 00060009 6576746a 3a683676 59202020 00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249
  c1b571a2 80280004 e57a3bcf`);
const responseV4 =
  hex(`0101003c 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200008 0001a147
  e112a643 00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7 80280004 c07d4c96`);
const responseV6 =
  hex(`01010048 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200014 0002a147
  0113a9fa a5d3f179 bc25f4b5 bed2b9d9 00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41 80280004 c8fb0b4c`);

test("the sample request of RFC 5769 is authentic with its password only", () => {
  const message = parseStun(request);
  assert.equal(message.type, stunTypes.bindingRequest);
  assert.equal(message.transactionId, transactionId);
  assert.equal(Buffer.from(message.attributes.get(stunAttributes.username)!).toString(), "evtj:h6vY");
  assert.equal(message.hasFingerprint, true);
  assert.equal(isIntegrityTrue(request, message, password), true);
  assert.equal(isIntegrityTrue(request, message, `${password}x`), false);
});

test("the sample responses of RFC 5769 carry the addresses we would write", () => {
  for (const [bytes, address] of [
    [responseV4, "192.0.2.1"],
    [responseV6, "2001:db8:1234:5678:11:2233:4455:6677"],
  ] as const) {
    const message = parseStun(bytes);
    assert.equal(isIntegrityTrue(bytes, message, password), true);
    const [type, value] = xorMappedAddress(address, 32_853, transactionId);
    assert.deepEqual(Buffer.from(message.attributes.get(type)!), Buffer.from(value));
  }
});

test("what is serialized is parsed again, authentic", () => {
  const attributes = [errorCode(487, "Role Conflict"), xorMappedAddress("::1", 9, transactionId)] as const;
  const bytes = serializeStun(stunTypes.bindingError, transactionId, attributes, password);
  const message = parseStun(bytes);
  assert.equal(message.type, stunTypes.bindingError);
  assert.deepEqual([...message.attributes.keys()], [stunAttributes.errorCode, stunAttributes.xorMappedAddress]);
  assert.deepEqual([...message.attributes.get(stunAttributes.errorCode)!.subarray(0, 4)], [0, 0, 4, 87]);
  assert.equal(isIntegrityTrue(bytes, message, password), true);
});

test("every prefix and every changed byte of a message is refused", () => {
  for (const bytes of [request, responseV4, responseV6]) {
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => parseStun(bytes.subarray(0, length)), ProtocolError);
    }
    for (let at = 0; at < bytes.length; at++) {
      const changed = Uint8Array.from(bytes);
      changed[at]! ^= 0x10;
      try {
        const message = parseStun(changed);
        assert.equal(message.hasFingerprint && isIntegrityTrue(changed, message, password), false, `byte ${at}`);
      } catch (thrown) {
        assert.ok(thrown instanceof ProtocolError);
      }
    }
  }
});

test("attributes behind MESSAGE-INTEGRITY are not believed", () => {
  const signed = serializeStun(stunTypes.bindingRequest, transactionId, [], password);
  // Put USE-CANDIDATE between MESSAGE-INTEGRITY and a fresh FINGERPRINT, which needs no key.
  const added = Buffer.concat([signed.subarray(0, -8), hex("00250000")]);
  added.writeUInt16BE(added.length - 20 + 8, 2);
  const reference = serializeStun(stunTypes.bindingRequest, transactionId, []);
  assert.equal(parseStun(reference).hasFingerprint, true);
  assert.equal(parseStun(withFingerprint(added)).attributes.has(stunAttributes.useCandidate), false);
});

function withFingerprint(bytes: Buffer): Buffer {
  // Any value is tried until the parser takes it would be slow; the checksum is simply computed as RFC 8489 §14.7 says.
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  const value = Buffer.alloc(4);
  value.writeUInt32BE((crc ^ 0xffffffff ^ 0x5354554e) >>> 0);
  return Buffer.concat([bytes, hex("80280004"), value]);
}

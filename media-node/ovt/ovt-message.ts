import { ProtocolError } from "../flow/errors.ts";
import { ovtPayloadType, serializeOvtPackets } from "./ovt-packet.ts";
import { membersOf, parseWireJson, uintOf, writeWireJson, type WireJson, type WireMembers } from "./wire-json.ts";

/** What an edge asks of an origin. */
export interface OvtRequest {
  /** 0…2³²−1, chosen by the edge and echoed. */
  readonly id: number;
  /** `describe`, `play` or `stop` in any case; anything else is an unknown application. */
  readonly application: string;
  /** The complete URL, query included. */
  readonly target: string;
  /** Only between Hearth nodes; unknown to, and ignored by, others. Untrusted. */
  readonly extension?: WireJson;
}

export interface OvtResponse {
  readonly id: number;
  readonly application: string;
  /** 200 is success, everything else failure; see {@link ovtCode}. */
  readonly code: number;
  /** For people. */
  readonly message: string;
  /** The stream description of a describe; see `ovt-description.ts`. */
  readonly contents?: WireJson;
}

export const ovtCode = { ok: 200, notReady: 202, refused: 404, broken: 500 } as const;
/** The key of what Hearth nodes add, in requests and in `contents`. */
export const hearthKey = "x_hearth";

/** Why a request could not be understood, with the answer an origin gives. */
export class RequestFault extends ProtocolError {
  readonly id: number;
  /** Whether the connection ends after the answer. */
  readonly isFatal: boolean;

  constructor(message: string, id: number, isFatal: boolean) {
    super("OVT_REQUEST", message);
    this.id = id;
    this.isFatal = isFatal;
  }
}

const maxTargetLength = 4096;

/** @throws {RequestFault} when the body is no request; what it carries is the answer to give */
export function parseOvtRequest(body: Uint8Array): OvtRequest {
  const members = requestMembers(body);
  const id = uintOf(members["id"]);
  const { application, target } = members;
  if (id === undefined || typeof application !== "string" || typeof target !== "string") {
    throw new RequestFault("An invalid request : id or target or application are invalid", 0, false);
  }
  // eslint-disable-next-line no-control-regex
  if (target.length > maxTargetLength || /[\0-\x1f\x7f]/.test(target)) {
    throw new RequestFault("An invalid request : Target is not valid", id, true);
  }
  const extension = members[hearthKey];
  return { id, application, target, ...(extension !== undefined && { extension }) };
}

function requestMembers(body: Uint8Array): WireMembers {
  try {
    const members = membersOf(parseWireJson(body));
    if (members) return members;
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
  }
  throw new RequestFault("An invalid request : Json format", 0, true);
}

/** Inverse of {@link parseOvtRequest}, as the packets to send in one write. */
export function serializeOvtRequest(request: OvtRequest, wallMs: number): Uint8Array {
  const { id, application, target, extension } = request;
  return messagePackets(ovtPayloadType.request, { application, id, target, [hearthKey]: extension }, wallMs);
}

/** @throws {ProtocolError} when a key that every response has is missing or of another type */
export function parseOvtResponse(body: Uint8Array): OvtResponse {
  const members = membersOf(parseWireJson(body));
  const id = uintOf(members?.["id"]);
  const code = uintOf(members?.["code"]);
  const application = members?.["application"];
  const message = members?.["message"];
  if (id === undefined || code === undefined || typeof application !== "string" || typeof message !== "string") {
    throw new ProtocolError("OVT_RESPONSE", "a response lacks id, application, code or message");
  }
  const contents = members?.["contents"];
  return {
    id,
    application,
    code,
    message,
    ...(contents !== undefined && contents !== null && { contents }),
  };
}

/** Inverse of {@link parseOvtResponse}, as the packets to send in one write. */
export function serializeOvtResponse(response: OvtResponse, wallMs: number): Uint8Array {
  const { id, application, code, message, contents } = response;
  return messagePackets(ovtPayloadType.response, { application, code, contents, id, message }, wallMs);
}

/** Messages have sequence numbers of their own from 0 on, and session 0. */
function messagePackets(payloadType: number, json: WireJson, timestamp: number): Uint8Array {
  const body = Buffer.from(writeWireJson(json));
  return serializeOvtPackets([body], { payloadType, sequence: 0, timestamp: Math.floor(timestamp), sessionId: 0 });
}

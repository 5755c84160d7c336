import { isSameSecret } from "../../bytes/same-secret.ts";
import type { RespValue } from "../resp/resp-value.ts";
import { commandProblem, runCommand } from "./commands.ts";
import type { Keyspace } from "./keyspace.ts";

/** Commands that one `MULTI` holds. */
const maxQueued = 1_024;
const ok = { status: "OK" } as const;

/** What one client of the embedded store has said so far: whether it may, and what it has queued. No socket. */
export class EmbeddedSession {
  readonly #keyspace: Keyspace;
  readonly #password: string | undefined;
  #isAuthenticated: boolean;
  #queue: (readonly string[])[] | undefined;
  #isQueueBroken = false;
  isOver = false;

  constructor(keyspace: Keyspace, password: string | undefined) {
    this.#keyspace = keyspace;
    this.#password = password;
    this.#isAuthenticated = password === undefined;
  }

  /** Answers one command; afterwards {@link isOver} tells whether the client said good-bye. */
  answer(command: readonly string[]): RespValue {
    const [name = "", ...args] = command;
    switch (name.toUpperCase()) {
      case "AUTH":
        return this.#authenticate(args);
      case "QUIT":
        this.isOver = true;
        return ok;
      case "HELLO":
        // A client that can do without goes on in RESP2.
        return { error: "ERR unknown command 'HELLO'" };
    }
    if (!this.#isAuthenticated) return { error: "NOAUTH Authentication required." };
    switch (name.toUpperCase()) {
      case "MULTI":
        return this.#begin();
      case "EXEC":
        return this.#execute();
      case "DISCARD":
        return this.#discard();
    }
    return this.#queue ? this.#enqueue(command) : runCommand(this.#keyspace, command);
  }

  #authenticate(args: readonly string[]): RespValue {
    if (args.length !== 1 && args.length !== 2) {
      return { error: "ERR wrong number of arguments for 'auth' command" };
    }
    if (this.#password === undefined) return { error: "ERR Client sent AUTH, but no password is set" };
    const isUserKnown = args.length === 1 || args[0] === "default";
    // What a client says came as latin1 characters of bytes.
    if (!isUserKnown || !isSameSecret(Buffer.from(args.at(-1)!, "latin1"), this.#password)) {
      return { error: "WRONGPASS invalid username-password pair" };
    }
    this.#isAuthenticated = true;
    return ok;
  }

  #begin(): RespValue {
    if (this.#queue) return { error: "ERR MULTI calls can not be nested" };
    this.#queue = [];
    this.#isQueueBroken = false;
    return ok;
  }

  #enqueue(command: readonly string[]): RespValue {
    const problem =
      this.#queue!.length >= maxQueued
        ? "ERR too many commands in a transaction"
        : commandProblem(command[0] ?? "", command.length - 1);
    if (problem !== undefined) {
      this.#isQueueBroken = true;
      return { error: problem };
    }
    this.#queue!.push(command);
    return { status: "QUEUED" };
  }

  #execute(): RespValue {
    const queue = this.#queue;
    this.#queue = undefined;
    if (!queue) return { error: "ERR EXEC without MULTI" };
    if (this.#isQueueBroken) return { error: "EXECABORT Transaction discarded because of previous errors." };
    return queue.map((command) => runCommand(this.#keyspace, command));
  }

  #discard(): RespValue {
    if (!this.#queue) return { error: "ERR DISCARD without MULTI" };
    this.#queue = undefined;
    return ok;
  }
}

/**
 * The breaker's rules once more, as plainly as they can be said: the whole history is kept and every
 * number is counted from it anew. Written from the semantics, not from the implementation; slow,
 * and for tests only. Jitter is not modelled.
 */
export type Outcome = "success" | "failure" | "neutral";
export type Action = "open" | "close" | "reset" | "disable" | "observe" | "auto";
type Name = "closed" | "open" | "half-open";

export interface NaiveSettings {
  readonly window: number;
  readonly buckets: number;
  readonly minimumRequests: number;
  readonly failureRate: number;
  readonly consecutiveFailures: number | null;
  readonly openFor: number;
  readonly openForMax: number;
  readonly halfOpenMax: number;
  readonly trialLease: number;
  readonly slowCallDuration: number | null;
  readonly slowCallRate: number;
}

interface Result {
  readonly at: number;
  readonly failed: boolean;
  readonly slow: boolean;
}

/** One admitted call. */
export interface NaiveCall {
  readonly era: number;
  readonly startedAt: number;
  readonly isTrial: boolean;
  /** Admitted while disabled: nobody asks how it ended. */
  readonly isUnwatched: boolean;
  isEnded: boolean;
}

const fiveMinutes = 300_000;

export class NaiveBreaker {
  now = 0;
  state: Name = "closed";
  mode: "auto" | "forced-open" | "disabled" | "observe" = "auto";
  rejected = 0;
  stateChangedAt = 0;
  totals = { successes: 0, failures: 0, neutral: 0 };
  readonly changes: Array<{ from: Name; to: Name; at: number; requests: number; manual: boolean }> =
    [];
  /** Counts the spans of time whose results belong together. */
  #era = 0;
  #results: Array<Result> = [];
  #hasObserved = false;
  #openUntil = 0;
  #hintUntil = 0;
  #frozen = { requests: 0, successes: 0, failures: 0, runS: 0, runF: 0 };
  #failedRecoveries = 0;
  #trials: Array<NaiveCall> = [];
  #trialSuccesses = 0;

  constructor(readonly settings: NaiveSettings) {}

  /** Results of this era that are still in the window. */
  #recent(): ReadonlyArray<Result> {
    const width = this.settings.window / this.settings.buckets;
    const bucket = (at: number) => Math.floor(at / width);
    return this.#results.filter(({ at }) => bucket(this.now) - bucket(at) < this.settings.buckets);
  }

  /** How many of the era's last results were of one kind; time does not end a run. */
  #run(failed: boolean): number {
    const reversed = this.#results.toReversed();
    const end = reversed.findIndex((result) => result.failed !== failed);
    return end === -1 ? reversed.length : end;
  }

  counts() {
    if (this.state === "open") return this.#frozen;
    if (this.state === "half-open") {
      const successes = this.#trialSuccesses;
      return { requests: successes, successes, failures: 0, runS: successes, runF: 0 };
    }
    const recent = this.#recent();
    const failures = recent.filter(({ failed }) => failed).length;
    return {
      requests: recent.length,
      successes: recent.length - failures,
      failures,
      runS: this.#run(false),
      runF: this.#run(true),
    };
  }

  failureRate(): number | null {
    const { requests, failures } = this.counts();
    return requests < this.settings.minimumRequests ? null : failures / requests;
  }

  openUntil(): number | null {
    return this.state === "open" && this.mode === "auto" ? this.#openUntil : null;
  }

  /** Trials that still hold their place. */
  trialsInFlight(): number {
    return this.#trials.filter((trial) =>
      !trial.isEnded && this.now < trial.startedAt + this.settings.trialLease
    ).length;
  }

  /** Moments at which something becomes possible by time alone. */
  boundaries(): ReadonlyArray<number> {
    const leases = this.#trials.map(({ startedAt }) => startedAt + this.settings.trialLease);
    const until = this.openUntil();
    return [...leases, ...(until === null ? [] : [until])];
  }

  ask(): NaiveCall | "open" | "half-open" | "forced" {
    if (this.state === "open") {
      if (this.mode === "forced-open" || this.now < this.#openUntil) {
        this.rejected += 1;
        return this.mode === "forced-open" ? "forced" : "open";
      }
      this.#enter("half-open", this.counts().requests, false);
    } else if (
      this.state === "half-open" &&
      this.trialsInFlight() + this.#trialSuccesses >= this.settings.halfOpenMax
    ) {
      this.rejected += 1;
      return "half-open";
    }
    const call: NaiveCall = {
      era: this.#era,
      startedAt: this.now,
      isTrial: this.state === "half-open",
      isUnwatched: this.mode === "disabled",
      isEnded: false,
    };
    if (call.isTrial) this.#trials.push(call);
    return call;
  }

  /** What a rejection now should tell the caller to wait. */
  retryAfter(): number {
    if (this.mode === "forced-open") return this.settings.openFor;
    if (this.state === "open") return this.#openUntil - this.now;
    const ends = this.#trials.filter(({ isEnded }) => !isEnded)
      .map(({ startedAt }) => startedAt + this.settings.trialLease - this.now)
      .filter((left) => left > 0);
    return Math.min(...ends);
  }

  end(call: NaiveCall, outcome: Outcome, retryAfter = 0): void {
    if (call.isUnwatched) return;
    const isExpired = call.isTrial && this.now >= call.startedAt + this.settings.trialLease;
    call.isEnded = true;
    if (outcome === "success") this.totals.successes += 1;
    if (outcome === "failure") this.totals.failures += 1;
    if (outcome === "neutral") this.totals.neutral += 1;
    if (call.era !== this.#era || isExpired || outcome === "neutral") return;
    const failed = outcome === "failure";
    if (call.isTrial) this.#endTrial(failed, retryAfter);
    else this.#endClosed(call, failed, retryAfter);
  }

  #endTrial(failed: boolean, retryAfter: number): void {
    if (!failed) {
      this.#trialSuccesses += 1;
      if (this.#trialSuccesses === this.settings.halfOpenMax) {
        this.#enter("closed", this.#trialSuccesses, false);
      }
      return;
    }
    const successes = this.#trialSuccesses;
    const counts = { requests: successes + 1, successes, failures: 1, runS: 0, runF: 1 };
    this.#failedRecoveries += 1;
    this.#open(counts, retryAfter);
  }

  #endClosed(call: NaiveCall, failed: boolean, retryAfter: number): void {
    const { slowCallDuration, slowCallRate, minimumRequests, failureRate, consecutiveFailures } =
      this.settings;
    const slow = slowCallDuration !== null && this.now - call.startedAt >= slowCallDuration;
    this.#results.push({ at: this.now, failed, slow });
    const counts = this.counts();
    const isEnough = counts.requests >= minimumRequests;
    const slowOnes = this.#recent().filter((result) => result.slow).length;
    const byRate = failed && isEnough && counts.failures / counts.requests >= failureRate;
    const byRun = failed && consecutiveFailures !== null && counts.runF >= consecutiveFailures;
    const bySlow = slow && isEnough && slowOnes / counts.requests >= slowCallRate;
    if (!byRate && !byRun && !bySlow) return;
    if (this.mode === "observe") {
      if (!this.#hasObserved) this.#tell("closed", "open", counts.requests, false);
      this.#hasObserved = true;
      return;
    }
    this.#failedRecoveries = 0;
    this.#open(counts, retryAfter);
  }

  #open(counts: ReturnType<NaiveBreaker["counts"]>, retryAfter: number): void {
    const { openFor, openForMax } = this.settings;
    let length = openFor;
    for (let failed = 0; failed < this.#failedRecoveries; failed++) {
      length = Math.min(length * 2, openForMax);
    }
    this.#enter("open", counts.requests, false);
    this.#frozen = counts;
    this.#hintUntil = this.now + Math.min(retryAfter, fiveMinutes);
    this.#openUntil = Math.max(this.now + length, this.#hintUntil);
  }

  hasten(): boolean {
    const due = Math.max(this.now, this.#hintUntil);
    if (this.state !== "open" || this.mode !== "auto" || due >= this.#openUntil) return false;
    this.#openUntil = due;
    return true;
  }

  #tell(from: Name, to: Name, requests: number, manual: boolean): void {
    this.changes.push({ from, to, at: this.now, requests, manual });
  }

  #enter(to: Name, oldRequests: number, manual: boolean): void {
    if (this.state !== to) {
      this.#tell(this.state, to, oldRequests, manual);
      this.stateChangedAt = this.now;
    }
    this.state = to;
    this.#newEra();
  }

  #newEra(): void {
    this.#era += 1;
    this.#results = [];
    this.#hasObserved = false;
    this.#trials = [];
    this.#trialSuccesses = 0;
  }

  control(action: Action): void {
    const counts = this.counts();
    const closeAs = (mode: "auto" | "disabled" | "observe") => {
      this.#enter("closed", counts.requests, true);
      this.mode = mode;
      this.#failedRecoveries = 0;
    };
    if (action === "open" && this.mode !== "forced-open") {
      if (this.state === "closed") this.#failedRecoveries = 0;
      this.#enter("open", counts.requests, true);
      this.#frozen = counts;
      this.mode = "forced-open";
    }
    if (action === "close") closeAs(this.mode === "forced-open" ? "auto" : this.mode);
    if (action === "reset") closeAs("auto");
    if (action === "disable" && this.mode !== "disabled") closeAs("disabled");
    if (action === "observe" && this.mode !== "observe") {
      if (this.state === "closed" && this.mode === "auto") {
        this.mode = "observe";
        this.#hasObserved = false;
      } else closeAs("observe");
    }
    if (action === "auto") {
      if (this.mode === "disabled") closeAs("auto");
      if (this.mode === "forced-open") this.#openUntil = this.now;
      this.mode = "auto";
    }
  }
}

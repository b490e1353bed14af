/*
 * The model of one idempotency key: clients, recovery, the database, the far side, and faults between them.
 * docs/MODEL.md says which function each step stands for, and what is left out.
 *
 * An `atomic` is one transaction or statement of the database, or one act of the far side. Between
 * two of them anything may happen. Two clients send the same request, the third sends another one
 * with the same key; each as often as it likes, and each may give up at any time.
 *
 * With -DNAME the protocol has the mistake NAME, which model.test.ts expects to be found.
 */
#ifndef FAULTS
#define FAULTS 2
#endif
#define CLIENTS 3
#define RECOVERY 3 /* the number of recovery among the senders of requests */
#define NOBODY 4
#define LIVES 2    /* the key expires once */
#define CLAIMS 4   /* claim ids count from 1 */

/* The row of idempotency_keys. `request`: its fingerprint; `leased`: its lease is not over; `past`:
   the result of the far side, once a later local phase has recorded it. */
typedef Row { bool there, request, finished, expired, leased; byte claim, attempt, past, response }
Row row;
byte open;            /* who has a transaction open, and so holds the key's lock; one bit each */
byte holder = NOBODY; /* who has the row FOR UPDATE */
byte faults = FAULTS; /* faults that may still happen */
bool phased[2];       /* which kind of operation each of the two requests is */
byte gone;            /* clients that have given up */

/* The far side: the entry each remote key has in its ledger, and requests still to arrive. */
#ifdef KEY_PER_ATTEMPT
#define REMOTE_KEY (attempt * CLAIMS + claim)
#define REMOTE_KEYS 28
#else
#define REMOTE_KEY claim
#define REMOTE_KEYS CLAIMS
#endif
byte remembered[REMOTE_KEYS];
unsigned late : REMOTE_KEYS;

/* What the properties speak of. Nothing else reads it. */
byte life = 1;           /* which life of the key: the next begins when a finished key expires */
byte claims;
byte lifeOf[CLAIMS];     /* by claim id */
byte effects[LIVES + 1]; /* by life: entries in the far side's ledger, writes of atomic handlers */
byte stored[LIVES + 1];  /* by life: the response that is stored for good */
byte serial;             /* numbers effects and refusals; the number stands for the response */
byte owner = NOBODY;     /* whose attempt an unfinished row is, while that attempt runs */

/* The properties, by the names that pan prints; -DWATCHED=bits looks at some of them alone. */
#ifndef WATCHED
#define WATCHED 255
#endif
bool one_effect_per_life = !(WATCHED & 1);
bool one_response_per_life = !(WATCHED & 2);
bool responds_when_durable = !(WATCHED & 4);
bool no_write_without_the_fence = !(WATCHED & 8);
bool fenced_after_a_fault = !(WATCHED & 16);
bool only_clients_begin = !(WATCHED & 32);
bool finished_in_the_end = !(WATCHED & 64);
bool every_effect_has_a_response = !(WATCHED & 128);

#define FAULT faults > 0 -> faults--
#define CRASH :: atomic { FAULT; rest() }
#define MINE (open & (1 << me))
#define ALIVE (row.there && !row.expired)
#define SAME (row.request == request)
#define FENCE (row.there && !row.finished && row.claim == claim && row.attempt == attempt)
#ifdef NO_FENCE
#define MAY_WRITE row.there
#else
#define MAY_WRITE FENCE
#endif
#define FREE (!row.there || (row.expired && row.claim == replaced)) /* for an INSERT */
#ifdef NO_LOCK
#define UNLOCKED true
#else
#define UNLOCKED (open == 0)
#endif
#ifdef LEASE_IGNORED
/* Bounded, or the attempts would have no end. */
#define ABANDONED (ALIVE && !row.finished && (!row.leased || row.attempt <= FAULTS))
#else
#define ABANDONED (ALIVE && !row.finished && !row.leased)
#endif

inline begin() { open = open | (1 << me) }
inline end() { open = open & ~(1 << me); if :: holder == me -> holder = NOBODY :: else fi }
inline rest() { /* also what a crash does: the transaction is rolled back, nothing is remembered */
  end(); claim = 0; attempt = 0; replaced = 0; got = 0;
  if :: owner == me -> owner = NOBODY :: else fi;
  goto end_ready
}
inline effect(inLife) {
  serial++; effects[inLife]++; assert(one_effect_per_life || effects[inLife] <= 1)
}
inline arrive(key) { /* at the far side, which does once what comes with the same key */
  if
  :: remembered[key] == 0 -> effect(lifeOf[key % CLAIMS]); remembered[key] = serial
  :: else
  fi
}
inline insert() {
  assert(only_clients_begin || me != RECOVERY);
  claims++; lifeOf[claims] = life; claim = claims; attempt = 1;
  row.there = true; row.request = request; row.expired = false; row.finished = false;
  row.leased = true; row.claim = claim; row.attempt = 1; row.response = 0
}
inline write() { assert(no_write_without_the_fence || owner == me) }
inline store() {
  assert(one_response_per_life || stored[life] == 0 || stored[life] == got);
  stored[life] = got; row.response = got; row.finished = true; row.leased = false; row.past = 0
}
inline reply(it) { assert(responds_when_durable || it == stored[1] || it == stored[2]) }

inline hold() { begin(); claim = row.claim; attempt = row.attempt; got = row.past }
inline start() {
  begin(); replaced = (row.there -> row.claim : 0);
  if :: phased[request] -> goto claimKey :: else -> goto perform fi
}
/* BEGIN, try-lock and SELECT in one round trip, and what is decided by them. */
inline look() {
  if
  :: ALIVE && !SAME -> rest()                                             /* reused */
  :: ALIVE && SAME && row.finished -> reply(row.response); rest()           /* replay */
  :: ALIVE && SAME && !row.finished && !(ABANDONED && UNLOCKED) -> rest() /* in use */
  :: !ALIVE && !UNLOCKED -> rest()                                        /* in use */
  :: SAME && ABANDONED && UNLOCKED -> hold(); goto takeOver
  :: !ALIVE && UNLOCKED -> start()
  fi
}

proctype sender(byte me; bool request) {
  byte claim, attempt, replaced, got; /* got: the result of the far side, or the response to store */

end_ready:
  if
#ifdef LIVENESS
  :: me != RECOVERY -> progress_send: atomic { look() }
#else
  :: atomic { me != RECOVERY -> look() }
#endif
  :: atomic { me != RECOVERY -> gone++; goto over }
  :: atomic { me == RECOVERY && ABANDONED && UNLOCKED -> request = row.request }
#ifdef POSTPONED_FOR_EVER
  :: atomic { me == RECOVERY && ABANDONED -> row.leased = true; rest() }
#endif
  fi;
  if /* recovery, having found the row abandoned, sends its request: only ever to take over */
  :: atomic { SAME && ABANDONED && UNLOCKED -> hold(); goto takeOver }
#ifdef RECOVERY_BEGINS
  :: atomic { !ALIVE && UNLOCKED -> start() }
#endif
  :: atomic { else -> rest() }
  fi;

perform: /* an atomic handler: its writes and the finished row commit, or it is rolled back */
  if
  :: atomic { !MINE || !FREE -> rest() }
  :: atomic { MINE && FREE -> effect(life); got = serial; insert(); store(); reply(got); rest() }
#ifdef RESPONSE_AFTER_EFFECT
  :: atomic { MINE && FREE -> effect(life); got = serial; end(); goto storeAlone }
#endif
  :: atomic { MINE && FREE && FAULT;
    effect(life); got = serial; insert(); store(); end(); goto resolve }
  :: atomic { MINE && FREE && FAULT; end(); goto resolve }
  :: atomic { end(); goto storeAlone }
  CRASH
  fi;

storeAlone: /* the handler was rolled back; its 4xx is stored in a statement of its own */
  if
  :: atomic { ALIVE -> rest() }
  :: atomic { !ALIVE ->
    if :: got == 0 -> serial++; got = serial :: else fi;
    insert(); store(); reply(got); rest() }
  CRASH
  fi;

claimKey: /* the first local phase of a phased handler */
  if
  :: atomic { !MINE || !FREE -> rest() }
  :: atomic { MINE && FREE -> insert(); owner = me; end(); goto remote }
  :: atomic { MINE && FREE && FAULT; insert(); rest() }
  :: atomic { end(); goto storeAlone }
  CRASH
  fi;

takeOver:
  if
  :: atomic { holder == NOBODY && !(MINE && FENCE && ABANDONED) -> rest() }
  :: atomic { holder == NOBODY && MINE && FENCE && ABANDONED ->
#ifndef ATTEMPT_NOT_RAISED
    row.attempt++; attempt++;
#endif
    row.leased = true; owner = me; end();
    if :: got -> goto finish :: else -> goto remote fi }
  :: atomic { holder == NOBODY && MINE && FENCE && ABANDONED && FAULT;
    row.attempt++; row.leased = true; owner = NOBODY; rest() }
  CRASH
  fi;

remote:
#ifdef LOOK_UP_FIRST
  atomic {
    got = remembered[CLAIMS + claim]; /* by the first attempt, or else by the second */
    if :: got == 0 -> got = remembered[2 * CLAIMS + claim] :: else fi;
    if :: got -> goto finish :: else fi
  };
#endif
  if
  :: atomic { arrive(REMOTE_KEY); got = remembered[REMOTE_KEY]; goto finish }
  :: atomic { FAULT; goto unknown }                     /* the request is lost */
  :: atomic { FAULT; arrive(REMOTE_KEY); goto unknown } /* the reply is lost */
  :: atomic { FAULT; late = late | (1 << REMOTE_KEY); if :: goto unknown :: rest() fi }
  CRASH
  fi;

unknown: /* the lease ends, and the client is told to ask again */
  if
  :: atomic { holder == NOBODY ->
    if :: FENCE -> write(); row.leased = false :: else fi;
    rest() }
  CRASH
  fi;

finish: /* a later phase: holds the row, then advances the recovery point or stores the response */
  if
  :: atomic { UNLOCKED && holder == NOBODY && MAY_WRITE -> begin(); holder = me }
  :: atomic { UNLOCKED && holder == NOBODY && !MAY_WRITE ->
    assert(fenced_after_a_fault || faults < FAULTS); rest() }
#ifdef ROW_BEFORE_LOCK
  :: atomic { holder == NOBODY && FENCE -> holder = me }; atomic { UNLOCKED -> begin() }
#endif
  CRASH
  fi;
#ifdef REPLAY_EARLY
  reply(got);
#endif
  if
  :: atomic { !MINE -> goto unknown }
  :: atomic { MINE && !row.past -> write(); row.past = got; row.leased = true; end(); goto finish }
  :: atomic { MINE && !row.past && FAULT;
    write(); row.past = got; row.leased = true; end(); goto unknown }
  :: atomic { MINE -> write(); store(); reply(got); rest() }
  :: atomic { MINE && FAULT; write(); store(); end(); goto resolve }
  :: atomic { MINE && FAULT; end(); goto resolve }
  CRASH
  fi;

resolve: /* the reply to COMMIT was lost */
  if
#ifdef DOUBT_IS_SUCCESS
  :: atomic { reply(got); rest() }
#endif
  :: atomic { UNLOCKED ->
    if
    :: row.there && row.finished && row.claim == claim && row.attempt == attempt ->
      reply(got); rest()
    :: FENCE -> goto unknown
    :: else -> rest()
    fi }
  :: goto unknown /* not found out in time */
  CRASH
  fi;
over: skip
}

active proctype world() {
  byte key;
end_world:
  do
  :: atomic { ALIVE && row.leased && owner == NOBODY -> row.leased = false }
  :: atomic { ALIVE && row.leased && owner != NOBODY && FAULT; row.leased = false }
#ifdef EXPIRES_UNFINISHED
  :: atomic { ALIVE && !row.finished && claims == 1 -> row.expired = true }
#endif
  :: atomic { ALIVE && row.finished && life < LIVES ->
    row.expired = true; life++; row.request = 0; row.response = 0 }
  :: atomic { row.there && row.expired -> /* purged */
    row.there = false; row.expired = false; row.finished = false; row.leased = false;
    row.request = 0; row.claim = 0; row.attempt = 0; row.past = 0 }
  :: atomic { late ->
    key = 1;
    do
    :: late & (1 << key) -> break
    :: late >> (key + 1) -> key++
    od;
    late = late & ~(1 << key); arrive(key); key = 0 }
  :: atomic { open && FAULT; open = 0; holder = NOBODY } /* the database restarts */
  od
}

init {
  atomic {
    if :: phased[0] = true :: skip fi;
    if :: phased[1] = true :: skip fi;
    run sender(0, false); run sender(1, false); run sender(2, true);
#ifndef NO_RECOVERY
    run sender(RECOVERY, false)
#endif
  }
  (timeout && gone == CLIENTS);
  assert(finished_in_the_end || !row.there || row.finished);
  assert(every_effect_has_a_response || ((!effects[1] || stored[1]) && (!effects[2] || stored[2])))
}

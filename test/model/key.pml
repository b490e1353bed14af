#ifndef SENDS
#define SENDS 2
#endif
#ifndef FAULTS
#define FAULTS 3
#endif
#define LIVES 2
#define CLIENTS 3
#define RECOVERY 3
#define NOBODY 4
#define CLAIMS 4

typedef Row { bool there, print, finished, leased, expired; byte claim, attempt, answer }
Row row;
byte open;               /* bit set: processes with transaction (lock) */
byte held = NOBODY;      /* row lock */
byte faults = FAULTS;
bool phased[2];

byte remembered[CLAIMS];
byte late;
byte told[CLIENTS];
byte waiting;

byte serial;
byte claims;
byte life = 1;
byte lifeOf[CLAIMS];
byte effects[LIVES + 1];
byte answerOf[LIVES + 1];
byte owner = NOBODY;

#define BIT(x) (1 << (x))
#define PRINT(c) (c == 2)
#define MINE (open & BIT(me))
#define ALIVE (row.there && !row.expired)
#define FENCE (row.there && row.claim == claim && row.attempt == attempt)
#define KEY claim
#define CRASH :: atomic { faults > 0 -> faults--; goto lost }

inline close() { open = open & ~BIT(me); if :: held == me -> held = NOBODY :: else fi }
inline effect(l) { serial++; effects[l]++; assert(effects[l] <= 1) }
inline call(c) {
  if
  :: remembered[c] == 0 -> effect(lifeOf[c]); remembered[c] = serial
  :: else
  fi
}
inline keep(a) {
  assert(answerOf[life] == 0 || answerOf[life] == a);
  answerOf[life] = a; row.answer = a; row.finished = true; row.leased = false
}
inline insert() {
  assert(row.there == 0 || row.expired);
  claims++; lifeOf[claims] = life; claim = claims; attempt = 1;
  row.there = true; row.print = print; row.expired = false; row.finished = false; row.answer = 0;
  row.claim = claim; row.attempt = 1
}
inline tell() {
  for (i : 0 .. CLIENTS - 1) {
    if :: waiting & BIT(i) -> told[i] = (PRINT(i) == print -> got : 255) :: else fi
  }
  i = 0
}

proctype request(byte me; bool print) {
  byte sent, claim, attempt, got, i;
  bool locked;

ready:
  atomic {
    claim = 0; attempt = 0; got = 0; locked = false;
    if :: owner == me -> owner = NOBODY :: else fi;
    if
    :: me != RECOVERY && sent < SENDS -> sent++
    :: me != RECOVERY -> goto gone
    :: me == RECOVERY
    fi
  }
  if
  :: me == RECOVERY ->
end:  atomic { row.there && !row.finished && !row.leased && open == 0 -> print = row.print }
  :: else
  fi;
look:
  atomic {
    locked = (open == 0);
    if :: locked -> open = BIT(me) :: else fi
  }
  if
  :: atomic {
    if
    :: !ALIVE && locked && me == RECOVERY -> close(); goto ready
    :: !ALIVE && locked && me != RECOVERY ->
      claim = (row.there -> row.claim : 0);
      if :: phased[print] -> goto begin :: else -> goto perform fi
    :: !ALIVE && !locked -> goto inUse
    :: ALIVE && row.print != print -> close(); goto ready
    :: ALIVE && row.print == print && row.finished -> close(); got = row.answer; goto reply
    :: ALIVE && row.print == print && !row.finished ->
      if
      :: !row.leased && locked -> claim = row.claim; attempt = row.attempt; goto takeOver
      :: else -> close(); goto inUse
      fi
    fi }
  CRASH
  fi;

perform:
  if
  :: atomic { held == NOBODY ->
    if
    :: !MINE -> goto ready
    :: MINE && row.there && row.claim != claim -> close(); goto beaten
    :: MINE && !(row.there && row.claim != claim) ->
      insert(); effect(life); got = serial; keep(got); close(); goto answered
    :: MINE && faults > 0 && !(row.there && row.claim != claim) -> faults--;
      if
      :: insert(); effect(life); got = serial; keep(got)
      :: claim = 0
      fi;
      close(); goto settle
    fi }
  :: atomic { close(); goto refuse }
  CRASH
  fi;
refuse:
  if
  :: atomic { held == NOBODY ->
    if
    :: ALIVE -> goto beaten
    :: else -> insert(); serial++; got = serial; keep(got); goto answered
    fi }
  CRASH
  fi;

begin:
  if
  :: atomic { held == NOBODY ->
    if
    :: !MINE -> goto ready
    :: MINE && row.there && row.claim != claim -> close(); goto beaten
    :: MINE && !(row.there && row.claim != claim) ->
      insert(); row.leased = true; owner = me; close(); goto remote
    :: MINE && faults > 0 && !(row.there && row.claim != claim) -> faults--;
      if
      :: insert(); row.leased = true
      :: skip
      fi;
      close(); goto ready
    fi }
  :: atomic { close(); goto refuse }
  CRASH
  fi;

takeOver:
  if
  :: atomic { held == NOBODY ->
    if
    :: !MINE -> goto ready
    :: MINE && !(FENCE && !row.leased && !row.finished) -> close(); goto inUse
    :: MINE && FENCE && !row.leased && !row.finished ->
      row.attempt++; row.leased = true; attempt++; owner = me; close(); goto remote
    :: MINE && faults > 0 && FENCE && !row.leased && !row.finished -> faults--;
      row.attempt++; row.leased = true; owner = NOBODY; close(); goto ready
    fi }
  CRASH
  fi;

remote:
  if
  :: atomic { call(KEY); got = remembered[KEY]; goto finish }
  :: atomic { faults > 0 -> faults--;
    if
    :: skip
    :: call(KEY)
    :: late = late | BIT(KEY); if :: skip :: goto lost fi
    fi;
    goto unknown }
  CRASH
  fi;
unknown:
  if
  :: atomic { held == NOBODY ->
    if :: FENCE && !row.finished -> assert(owner == me); row.leased = false :: else fi;
    goto ready }
  CRASH
  fi;

finish:
  if
  :: atomic { open == 0 && held == NOBODY ->
    if
    :: FENCE && !row.finished -> open = BIT(me); held = me
    :: else -> goto beaten
    fi }
  CRASH
  fi;
  if
  :: atomic {
    if
    :: !MINE -> goto unknown
    :: MINE -> assert(owner == me); keep(got); close(); goto answered
    :: MINE && faults > 0 -> faults--;
      if :: assert(owner == me); keep(got) :: skip fi;
      close(); goto settle
    fi }
  CRASH
  fi;

settle:
  if
  :: atomic { open == 0 ->
    if
    :: FENCE && row.finished -> goto answered
    :: !(FENCE && row.finished) && ALIVE && row.finished && row.print == print -> got = row.answer; goto reply
    :: !(FENCE && row.finished) && ALIVE && row.finished && row.print != print -> goto ready
    :: !(FENCE && row.finished) && !ALIVE -> goto ready
    :: ALIVE && !row.finished -> goto unknown
    fi }
  :: goto unknown
  CRASH
  fi;

beaten:
  if
  :: atomic { ALIVE && row.finished && row.print == print -> got = row.answer; goto reply }
  :: atomic { else -> goto ready }
  fi;

inUse:
  atomic {
    if
    :: goto ready
    :: me != RECOVERY -> waiting = waiting | BIT(me)
    fi }
  atomic {
    if
    :: told[me] -> got = told[me]
    :: (ALIVE -> (row.finished || row.print != print || (!row.leased && open == 0)) : open == 0)
    :: goto late_; 
    fi;
    waiting = waiting & ~BIT(me); told[me] = 0;
    if :: got == 255 -> goto ready :: got > 0 && got < 255 -> goto reply :: got == 0 -> goto look fi
  }
late_: atomic { waiting = waiting & ~BIT(me); told[me] = 0; goto ready }

answered:
  if
  :: atomic { tell(); goto reply }
  CRASH
  fi;
reply:
  atomic { assert(got == answerOf[1] || got == answerOf[2]); 
    if :: me == RECOVERY -> goto ready :: else fi }
gone:
  atomic { if :: owner == me -> owner = NOBODY :: else fi; claim = 0; attempt = 0; got = 0; sent = 0; locked = false; goto over }
lost:
  atomic { close(); goto ready }
over: skip
}

active proctype world() {
end:
  do
  :: atomic { row.there && !row.finished && row.leased && owner == NOBODY -> row.leased = false }
  :: atomic { row.there && !row.finished && row.leased && owner != NOBODY && faults > 0 -> faults--; row.leased = false }
  :: atomic { row.there && row.finished && !row.expired && life < LIVES -> row.expired = true; life++ }
  :: atomic { row.there && row.finished && row.expired ->
      row.there = false; row.print = 0; row.finished = 0; row.expired = 0; row.claim = 0; row.attempt = 0; row.answer = 0 }
  :: atomic { late & BIT(1) -> late = late & ~BIT(1); call(1) }
  :: atomic { late & BIT(2) -> late = late & ~BIT(2); call(2) }
  :: atomic { open != 0 && faults > 0 -> faults--; open = 0; held = NOBODY }
  od
}

init {
  atomic {
    if :: phased[0] = true :: skip fi;
    if :: phased[1] = true :: skip fi;
    run request(0, false); run request(1, false); run request(2, true); run request(RECOVERY, false);
  }
  timeout;
  assert(!(row.there && !row.finished));
  assert(open == 0);
  assert(effects[1] == 0 || answerOf[1] != 0);
  assert(effects[2] == 0 || answerOf[2] != 0)
}

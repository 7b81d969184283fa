-- Every sentence of the SQLite back-end, one each, by name. Row states are numbers of the enums:
-- inbox 0 WAITING 1 DONE 2 DEAD 3 DISCARDED; outbox 0 DRAFT 1 QUEUED 2 SENDING 3 SENT 4 CONFIRMED
-- 5 UNCERTAIN 6 REFUSED 7 EXPIRED 8 DEAD 9 DISCARDED; kinds 0 MESSAGE 1 NOTICE 2 REQUEST.
-- `mark` is what a row needs attention for (see `schema.py`), NULL for most: outbox the state,
-- unless it is 2, 3 or 4; inbox the state, unless it is 1; 4 for a request that is DONE, 5 for what
-- is DONE and waits for a person since it was handed over.
-- CROSS JOIN keeps the order of the tables, INDEXED BY the index, so that no plan ever scans.

-- The beat --------------------------------------------------------------------------------------

-- name: put_conversation
INSERT INTO conversation (id, line, account, peer, kind, name, context, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE
SET name = excluded.name, context = excluded.context, state = excluded.state;

-- name: insert_inbox
INSERT INTO inbox (id, conversation, key, kind, state, at_ms, attempts, reason, mark, media, why, body, seq)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key, conversation) DO NOTHING;

-- The row of nearly every message, decided at once: what is the same in all of them is written here
-- instead of being handed over, which costs 0.4 µs for each NULL and 0.5 µs for each `bytes`.
-- name: insert_decided
INSERT INTO inbox (id, conversation, key, kind, state, at_ms, attempts, reason, why, body)
VALUES (?, ?, ?, 0, 1, ?, 1, '', ?, ?)
ON CONFLICT (key, conversation) DO NOTHING;

-- name: find_key
SELECT 1 FROM inbox WHERE key = ? AND conversation = ?;

-- A message under another of its ids: either key finds it.
-- name: find_alias
SELECT 1 FROM alias WHERE key IN (?1, ?3) AND conversation = ?2
UNION ALL SELECT 1 FROM inbox WHERE key = ?3 AND conversation = ?2
LIMIT 1;

-- name: insert_alias
INSERT INTO alias (key, conversation, row) VALUES (?, ?, ?);

-- name: insert_outbox
INSERT INTO outbox (id, conversation, state, at_ms, source, attempt, due_ms, expires_ms, settled_ms, reason, peer_id, dedupe, mark, media, body, seq, context)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- The row of nearly every answer, which leaves with the beat that decided it (as `insert_decided`).
-- name: insert_leaving
INSERT INTO outbox (id, conversation, state, at_ms, source, attempt, due_ms, expires_ms, settled_ms, reason, peer_id, body)
VALUES (?, ?, 2, ?, ?, 1, 0, ?, 0, '', '', ?);

-- name: settle_range
UPDATE outbox SET state = 3, settled_ms = ?3, seq = ?4 + id WHERE id BETWEEN ?1 AND ?2 AND state = 2;

-- name: settle_proven
UPDATE outbox
SET state = ?2, settled_ms = ?3, reason = ?5, seq = ?6,
    peer_id = CASE WHEN ?4 = '' THEN peer_id ELSE ?4 END
WHERE id = ?1 AND (state = 2 OR (state = 3 AND ?2 = 4));

-- What nearly every delivery ends with where a peer answers; fewer values than `settle_proven`.
-- name: settle_confirmed
UPDATE outbox
SET state = 4, settled_ms = ?2, reason = '', seq = ?4,
    peer_id = CASE WHEN ?3 = '' THEN peer_id ELSE ?3 END
WHERE id = ?1 AND state IN (2, 3);

-- name: settle_other
UPDATE outbox
SET state = ?2, mark = ?2, settled_ms = ?3, reason = ?5, seq = ?6, due_ms = ?7,
    peer_id = CASE WHEN ?4 = '' THEN peer_id ELSE ?4 END
WHERE id = ?1 AND state = 2;

-- name: settle_echoed
UPDATE outbox
SET state = 4, mark = NULL, settled_ms = ?2, reason = '', seq = ?4,
    peer_id = CASE WHEN ?3 = '' THEN peer_id ELSE ?3 END
WHERE id = ?1 AND state IN (2, 3, 4, 5);

-- Ids that are no multiple of 16 answer a message (`ids.answer_id`); all others were asked for.
-- name: automatic_of_conversation
SELECT id FROM outbox INDEXED BY outbox_queued
WHERE mark = 1 AND conversation = ? AND id & 15 != 0 ORDER BY id;

-- name: drafts_of_conversation
SELECT id FROM outbox INDEXED BY outbox_drafts
WHERE mark = 0 AND conversation = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?2;

-- name: put_pace
INSERT INTO pace (line, day, sent, last_ms) VALUES (?, ?, ?, ?)
ON CONFLICT (line) DO UPDATE
SET day = excluded.day, sent = excluded.sent, last_ms = excluded.last_ms;

-- name: paces
SELECT line, day, sent, last_ms FROM pace ORDER BY line;

-- name: claim
UPDATE outbox
SET state = 2, mark = NULL, attempt = attempt + 1, due_ms = 0, reason = '', seq = ?2
WHERE id = ?1 AND state = 1
RETURNING conversation;

-- name: finish_inbox
UPDATE inbox SET state = 1, mark = CASE kind WHEN 2 THEN 4 END, why = ?2, seq = ?3
WHERE id = ?1 AND state = 0;

-- name: hand_over
UPDATE inbox SET mark = 5, seq = ?2 WHERE id = ?1 AND state = 1 AND mark IS NULL;

-- name: for_person_of
SELECT id FROM inbox INDEXED BY inbox_mark WHERE mark = 5 AND conversation = ? ORDER BY id;

-- name: attend
UPDATE inbox SET mark = NULL, seq = ?2 WHERE id = ?1;

-- name: keep
INSERT INTO kept (line, account, state) VALUES (?, ?, ?)
ON CONFLICT (line, account) DO UPDATE SET state = excluded.state;

-- A message that came while the turn was decided is WAITING still and needs its turn.
-- name: end_turn
DELETE FROM turn
WHERE conversation = ?1
  AND NOT EXISTS (SELECT 1 FROM inbox WHERE mark = 0 AND conversation = ?1);

-- A turn that is open keeps its beginning, and its cap counts from there.
-- name: put_turn
INSERT INTO turn (conversation, due_ms, since_ms, kind, attempts) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (conversation) DO UPDATE
SET due_ms = CASE WHEN ?6 = 0 THEN ?2 ELSE min(?2, min(since_ms, ?3) + ?6) END,
    since_ms = min(since_ms, ?3), kind = ?4, attempts = ?5;

-- Numbers ---------------------------------------------------------------------------------------

-- name: put_number
INSERT INTO number (id, line, kind, ident, row) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET ident = excluded.ident;

-- Peers use an id again: it means the newest message that has it. The older one keeps its number.
-- name: free_number
UPDATE number SET ident = '#' || row
WHERE line = ?1 AND kind = ?2 AND ident = ?3 AND id <> ?4 AND row IS NOT NULL;

-- name: find_number
SELECT id, line, kind, ident, row FROM number WHERE line = ? AND kind = ? AND ident = ?;

-- name: number
SELECT id, line, kind, ident, row FROM number WHERE id = ?;

-- name: last_number
SELECT coalesce(max(id), 0) FROM number;

-- The last one stays: it says how far numbers were given.
-- name: forget_numbers
DELETE FROM number WHERE row = ? AND id < (SELECT max(id) FROM number);

-- name: forget_aliases
DELETE FROM alias WHERE row = ?;

-- Conversations ---------------------------------------------------------------------------------

-- name: find_conversation
SELECT id, line, account, kind, peer, name, context, state FROM conversation
WHERE line = ?1 AND account = ?2 AND peer = ?4 AND kind = ?3;

-- name: conversation
SELECT id, line, account, kind, peer, name, context, state FROM conversation WHERE id = ?;

-- name: last_conversation
SELECT coalesce(max(id), 0) FROM conversation;

-- name: kept
SELECT state FROM kept WHERE line = ? AND account = ?;

-- Turns -----------------------------------------------------------------------------------------

-- name: due_turns
SELECT conversation, due_ms, since_ms, kind, attempts FROM turn
WHERE due_ms <= ? ORDER BY due_ms LIMIT ?;

-- A line's name holds no slash, so the pair is told apart.
-- name: due_turns_besides
SELECT t.conversation, t.due_ms, t.since_ms, t.kind, t.attempts
FROM turn t CROSS JOIN conversation c ON c.id = t.conversation
WHERE t.due_ms <= ?1 AND c.line || '/' || c.account NOT IN (SELECT value FROM json_each(?2))
ORDER BY t.due_ms LIMIT ?3;

-- name: waiting
SELECT id, conversation, key, kind, state, at_ms, attempts, reason, media, why, body, mark
FROM inbox INDEXED BY inbox_mark WHERE mark = 0 AND conversation = ? ORDER BY id;

-- After a restart a turn waits at most as long as it was meant to, whatever the clock says now.
-- name: clamp_turns
UPDATE turn SET due_ms = ?1 + max(0, due_ms - since_ms)
WHERE due_ms > ?1 + max(0, due_ms - since_ms);

-- Outbox: queues --------------------------------------------------------------------------------

-- name: queued_of_account
SELECT o.id, o.conversation, o.due_ms, o.expires_ms
FROM outbox o INDEXED BY outbox_mark CROSS JOIN conversation c ON c.id = o.conversation
WHERE o.mark = 1 AND c.line = ? AND c.account = ?
ORDER BY o.id;

-- name: queued_of_peer
SELECT o.id, o.conversation, o.due_ms, o.expires_ms
FROM conversation c CROSS JOIN outbox o INDEXED BY outbox_queued ON o.conversation = c.id
WHERE o.mark = 1 AND c.line = ? AND c.account = ? AND c.peer = ?
ORDER BY o.id;

-- name: queued_chats
SELECT c.line, c.account, c.kind, c.peer, c.state
FROM (SELECT DISTINCT conversation FROM outbox INDEXED BY outbox_queued WHERE mark = 1 LIMIT ?) q
CROSS JOIN conversation c ON c.id = q.conversation;

-- name: expired
SELECT id FROM outbox INDEXED BY outbox_mark
WHERE mark = 1 AND expires_ms BETWEEN 1 AND ? ORDER BY id LIMIT ?;

-- Ids contain the time (`ids.id_at`).
-- name: expired_drafts
SELECT id FROM outbox INDEXED BY outbox_mark WHERE mark = 0 AND id < ? ORDER BY id LIMIT ?;

-- name: expire_draft
UPDATE outbox SET state = 7, mark = 7, settled_ms = ?2, reason = ?3, seq = ?4 WHERE id = ?1 AND state = 0;

-- Of what was carried to a line, what waits beyond the newest ?2.
-- name: carried_beyond
SELECT o.id FROM outbox o INDEXED BY outbox_mark CROSS JOIN conversation c ON c.id = o.conversation
WHERE o.mark = 1 AND c.line = ?1 AND o.source GLOB 'carry:*'
ORDER BY o.id DESC LIMIT ?3 OFFSET ?2;

-- name: expire
UPDATE outbox SET state = 7, mark = 7, settled_ms = ?2, reason = ?3, seq = ?4 WHERE id = ?1 AND state = 1;

-- name: bury
UPDATE outbox SET state = 8, mark = 8, settled_ms = ?2, reason = ?3, seq = ?4 WHERE id = ?1 AND state = 1;

-- Outbox: people --------------------------------------------------------------------------------

-- name: delivery
SELECT o.id, o.conversation, o.state, o.at_ms, o.source, o.attempt, o.due_ms, o.expires_ms,
       o.settled_ms, o.reason, o.peer_id, o.dedupe, o.media, o.body, o.context,
       c.id, c.line, c.account, c.kind, c.peer, c.name, c.context, c.state
FROM outbox o CROSS JOIN conversation c ON c.id = o.conversation WHERE o.id = ?;

-- name: answers
SELECT id, conversation, state, at_ms, source, attempt, due_ms, expires_ms,
       settled_ms, reason, peer_id, dedupe, media, body, context
FROM outbox WHERE id BETWEEN ? AND ? ORDER BY id;

-- name: delivery_by_dedupe
SELECT id FROM outbox INDEXED BY outbox_dedupe WHERE dedupe = ?;

-- name: outbox_ids_by_mark
SELECT o.id FROM outbox o INDEXED BY outbox_mark CROSS JOIN conversation c ON c.id = o.conversation
WHERE o.mark = ?1 AND o.id < ?2 AND (?3 = '' OR c.line = ?3)
ORDER BY o.id DESC LIMIT ?4;

-- name: outbox_floor
SELECT min(id) FROM (SELECT id FROM outbox WHERE id < ? ORDER BY id DESC LIMIT ?);

-- name: outbox_ids_between
SELECT o.id FROM outbox o CROSS JOIN conversation c ON c.id = o.conversation
WHERE o.id >= ?1 AND o.id < ?2 AND (?3 >> o.state) & 1 AND (?4 = '' OR c.line = ?4)
ORDER BY o.id DESC LIMIT ?5;

-- name: delivery_state
SELECT state, expires_ms, body IS NOT NULL OR media IS NOT NULL FROM outbox WHERE id = ?;

-- name: move_delivery
UPDATE outbox
SET state = ?2, mark = ?3, reason = ?4, settled_ms = ?5, expires_ms = ?6, due_ms = 0, seq = ?7
WHERE id = ?1;

-- name: edit_delivery
UPDATE outbox SET body = ?2, media = ?3, source = ?4 WHERE id = ?1;

-- name: drafts_by_line
SELECT c.line, count(*)
FROM (SELECT conversation FROM outbox INDEXED BY outbox_mark WHERE mark = 0 LIMIT ?) o
CROSS JOIN conversation c ON c.id = o.conversation GROUP BY c.line;

-- name: uncertain_of_reason
SELECT id FROM outbox INDEXED BY outbox_mark WHERE mark = 5 AND reason = ? ORDER BY id;

-- Inbox: people ---------------------------------------------------------------------------------

-- name: message
SELECT id, conversation, key, kind, state, at_ms, attempts, reason, media, why, body, mark
FROM inbox WHERE id = ?;

-- name: for_person_by_line
SELECT c.line, count(*)
FROM (SELECT conversation FROM inbox INDEXED BY inbox_mark WHERE mark = 5 LIMIT ?) i
CROSS JOIN conversation c ON c.id = i.conversation GROUP BY c.line;

-- name: inbox_ids_by_mark
SELECT i.id FROM inbox i INDEXED BY inbox_mark CROSS JOIN conversation c ON c.id = i.conversation
WHERE i.mark = ?1 AND i.id > ?2 AND i.id < ?3
  AND (?4 >> i.state) & 1 AND (?5 >> i.kind) & 1 AND (?6 = '' OR c.line = ?6);

-- name: inbox_floor
SELECT min(id) FROM (SELECT id FROM inbox WHERE id < ? ORDER BY id DESC LIMIT ?);

-- name: inbox_ceiling
SELECT max(id) FROM (SELECT id FROM inbox WHERE id > ? ORDER BY id LIMIT ?);

-- name: inbox_ids_between
SELECT i.id FROM inbox i CROSS JOIN conversation c ON c.id = i.conversation
WHERE i.id > ?1 AND i.id < ?2
  AND (?3 >> i.state) & 1 AND (?4 >> i.kind) & 1 AND (?5 = '' OR c.line = ?5)
ORDER BY i.id;

-- name: inbox_state
SELECT state, kind, conversation, body IS NOT NULL OR media IS NOT NULL FROM inbox WHERE id = ?;

-- name: move_message
UPDATE inbox SET state = ?2, mark = ?3, seq = ?4 WHERE id = ?1;

-- Start and numbers -----------------------------------------------------------------------------

-- name: has_versions
SELECT count(*) FILTER (WHERE name = 'alembic_version'), count(*) FROM sqlite_master;

-- name: own_tables
-- For a backup's row counts; SQLite's own tables are not ours to count.
SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%';

-- name: revision
SELECT version_num FROM alembic_version;

-- name: next_fence
INSERT INTO meta (name, value) VALUES ('fence', 1)
ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value;

-- name: left_sending
SELECT o.id, c.line FROM outbox o CROSS JOIN conversation c ON c.id = o.conversation
WHERE o.state = 2;

-- name: mark_restarted
UPDATE outbox SET state = ?2, mark = ?2, settled_ms = ?3, reason = ?4, seq = ?5 WHERE id = ?1;

-- name: clamp_queue
UPDATE outbox SET due_ms = ?1 WHERE mark = 1 AND due_ms > ?1;

-- name: last_id
SELECT max(coalesce((SELECT max(id) FROM inbox), 0), coalesce((SELECT max(id) FROM outbox), 0));

-- name: count_outbox
SELECT count(*) FROM (SELECT 1 FROM outbox INDEXED BY outbox_mark WHERE mark = ? LIMIT ?);

-- name: count_inbox
SELECT count(*) FROM (SELECT 1 FROM inbox INDEXED BY inbox_mark WHERE mark = ? LIMIT ?);

-- History ---------------------------------------------------------------------------------------

-- name: history_end
SELECT value FROM meta WHERE name = 'history';

-- name: put_history_end
INSERT INTO meta (name, value) VALUES ('history', ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: count_tail
SELECT (SELECT count(*) FROM (SELECT 1 FROM inbox WHERE id > ?1 LIMIT ?2))
     + (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE id > ?1 LIMIT ?2));

-- name: nth_inbox
SELECT count(*), max(id) FROM (SELECT id FROM inbox WHERE id > ? ORDER BY id LIMIT ?);

-- name: nth_outbox
SELECT count(*), max(id) FROM (SELECT id FROM outbox WHERE id > ? ORDER BY id LIMIT ?);

-- In the order of the index, so that a batch touches each page of it once. Notices too, though
-- nobody said them: what is erased is found by this index.
-- name: fill_history
INSERT OR IGNORE INTO history (conversation, id)
SELECT conversation, id FROM (
  SELECT conversation, id FROM inbox WHERE id > ?1 AND id <= ?2
  UNION ALL SELECT conversation, id FROM outbox WHERE id > ?1 AND id <= ?2)
ORDER BY conversation, id;

-- name: fill_active
INSERT INTO active (conversation, line, id)
SELECT n.conversation, c.line, n.id FROM (
  SELECT conversation, max(id) AS id FROM (
    SELECT conversation, id FROM inbox WHERE id > ?1 AND id <= ?2 AND kind <> 1
    UNION ALL SELECT conversation, id FROM outbox WHERE id > ?1 AND id <= ?2)
  GROUP BY conversation) AS n CROSS JOIN conversation c ON c.id = n.conversation
WHERE true
ON CONFLICT (conversation) DO UPDATE SET id = max(id, excluded.id);

-- A row whose id is older than what is indexed already: the answer to a turn that waited.
-- name: put_history
INSERT OR IGNORE INTO history (conversation, id) VALUES (?1, ?2);

-- name: put_active
INSERT INTO active (conversation, line, id) SELECT id, line, ?2 FROM conversation WHERE id = ?1
ON CONFLICT (conversation) DO UPDATE SET id = max(id, excluded.id);

-- name: history
SELECT id FROM history WHERE conversation = ? AND id < ? ORDER BY id DESC LIMIT ?;

-- The unindexed tail. `+` keeps the plan on the ids.
-- name: tail_of
SELECT id FROM (
  SELECT id FROM inbox WHERE id > ?1 AND id < ?3 AND +conversation = ?2 AND kind <> 1
  UNION ALL SELECT id FROM outbox WHERE id > ?1 AND id < ?3 AND +conversation = ?2)
ORDER BY id DESC;

-- name: tail_active
SELECT n.conversation, n.id FROM (
  SELECT conversation, max(id) AS id FROM (
    SELECT conversation, id FROM inbox WHERE id > ?1 AND kind <> 1
    UNION ALL SELECT conversation, id FROM outbox WHERE id > ?1)
  GROUP BY conversation) AS n CROSS JOIN conversation c ON c.id = n.conversation
WHERE ?2 = '' OR c.line = ?2;

-- name: active_of_line
SELECT conversation, id FROM active INDEXED BY active_line
WHERE line = ? AND id < ? ORDER BY id DESC LIMIT ?;

-- name: active
SELECT conversation, id FROM active INDEXED BY active_id WHERE id < ? ORDER BY id DESC LIMIT ?;

-- name: forget_history_of_inbox
DELETE FROM history
WHERE id = ?1 AND conversation = (SELECT conversation FROM inbox WHERE id = ?1);

-- name: forget_history_of_outbox
DELETE FROM history
WHERE id = ?1 AND conversation = (SELECT conversation FROM outbox WHERE id = ?1);

-- Stream ----------------------------------------------------------------------------------------
-- Sides: 0 inbox and 1 outbox rows as inserted (seq NULL), 2 inbox and 3 outbox rows changed.

-- name: insert_stream
INSERT INTO stream (seq, side, first, last) VALUES (?, ?, ?, ?);

-- name: stream_end
SELECT seq + last - first FROM stream ORDER BY seq DESC LIMIT 1;

-- name: stream_start
SELECT seq FROM stream ORDER BY seq LIMIT 1;

-- name: tops
SELECT max(coalesce((SELECT max(id) FROM inbox), 0),
           coalesce((SELECT max(last) FROM stream WHERE side = 0), 0)),
       max(coalesce((SELECT max(id) FROM outbox), 0),
           coalesce((SELECT max(last) FROM stream WHERE side = 1), 0));

-- name: stream_from
SELECT seq, side, first, last FROM stream
WHERE seq >= coalesce((SELECT max(seq) FROM stream WHERE seq <= ?1), 0) ORDER BY seq LIMIT ?2;

-- name: stream_inbox_inserted
SELECT id FROM inbox WHERE id BETWEEN ?1 AND ?2 AND seq IS NULL ORDER BY id LIMIT ?3;

-- name: stream_outbox_inserted
SELECT id FROM outbox WHERE id BETWEEN ?1 AND ?2 AND seq IS NULL ORDER BY id LIMIT ?3;

-- name: stream_inbox_changed
SELECT id FROM inbox WHERE id BETWEEN ?1 AND ?2 AND seq = ?4 + id ORDER BY id LIMIT ?3;

-- name: stream_outbox_changed
SELECT id FROM outbox WHERE id BETWEEN ?1 AND ?2 AND seq = ?4 + id ORDER BY id LIMIT ?3;

-- The last insertion that is older than an id, among those before the first younger one.
-- name: stream_old
SELECT max(seq) FROM stream
WHERE side < 2 AND first < ?1
  AND seq < coalesce((SELECT seq FROM stream WHERE side < 2 AND first >= ?1 ORDER BY seq LIMIT 1),
                     (SELECT max(seq) + 1 FROM stream));

-- name: delete_stream
DELETE FROM stream WHERE seq IN (
  SELECT seq FROM stream WHERE seq <= ?1 AND seq < (SELECT max(seq) FROM stream)
  ORDER BY seq LIMIT ?2);

-- Erasing ---------------------------------------------------------------------------------------

-- name: erase_turn
DELETE FROM turn WHERE conversation = ?;

-- name: erase_history
DELETE FROM history WHERE conversation = ? AND id = ?;

-- name: erase_active
DELETE FROM active WHERE conversation = ?;

-- The row itself stays: its id is in use, and the peer may write again.
-- name: erase_conversation
UPDATE conversation SET name = '', context = x'', state = NULL WHERE id = ?;

-- Retention -------------------------------------------------------------------------------------

-- name: inbox_walk
SELECT i.id, c.line, i.state = 1,
       i.body IS NOT NULL OR i.media IS NOT NULL, i.why IS NOT NULL
FROM inbox i CROSS JOIN conversation c ON c.id = i.conversation
WHERE i.id > ? AND i.id < ? ORDER BY i.id LIMIT ?;

-- name: outbox_walk
SELECT o.id, c.line, o.state IN (3, 4), o.body IS NOT NULL OR o.media IS NOT NULL, 0
FROM outbox o CROSS JOIN conversation c ON c.id = o.conversation
WHERE o.id > ? AND o.id < ? ORDER BY o.id LIMIT ?;

-- name: inbox_media_before
SELECT id FROM inbox INDEXED BY inbox_media
WHERE media IS NOT NULL AND id < ? AND state = 1 LIMIT ?;

-- name: outbox_media_before
SELECT id FROM outbox INDEXED BY outbox_media
WHERE media IS NOT NULL AND id < ? AND state IN (3, 4) LIMIT ?;

-- name: inbox_marked_before
SELECT id FROM inbox INDEXED BY inbox_mark WHERE mark = ? AND id < ? LIMIT ?;

-- name: outbox_marked_before
SELECT id FROM outbox INDEXED BY outbox_mark WHERE mark = ? AND id < ? ORDER BY id LIMIT ?;

-- name: empty_inbox
UPDATE inbox SET body = NULL, media = NULL WHERE id = ?;

-- name: empty_outbox
UPDATE outbox SET body = NULL, media = NULL WHERE id = ?;

-- name: forget_why
UPDATE inbox SET why = NULL WHERE id = ?;

-- name: delete_inbox
DELETE FROM inbox WHERE id = ?;

-- name: delete_outbox
DELETE FROM outbox WHERE id = ?;

-- name: names_media
SELECT EXISTS (SELECT 1 FROM inbox INDEXED BY inbox_media WHERE media = ?1)
    OR EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_media WHERE media = ?1);

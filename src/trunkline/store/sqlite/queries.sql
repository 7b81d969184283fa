-- Every sentence of the SQLite back-end, one each, by name. Row states are numbers of the enums:
-- inbox 0 WAITING 1 DONE 2 DEAD 3 DISCARDED; outbox 0 DRAFT 1 QUEUED 2 SENDING 3 SENT 4 CONFIRMED
-- 5 UNCERTAIN 6 REFUSED 7 EXPIRED 8 DEAD 9 DISCARDED; kinds 0 MESSAGE 1 NOTICE 2 REQUEST.
-- `mark` is what a row needs attention for (see `schema.py`), NULL for most: outbox the state,
-- unless it is 2, 3 or 4; inbox the state, unless it is 1, and 4 for a request that is DONE.
-- CROSS JOIN keeps the order of the tables, INDEXED BY the index, so that no plan ever scans.

-- The beat --------------------------------------------------------------------------------------

-- name: put_conversation
INSERT INTO conversation (id, line, account, peer, kind, name, context, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE
SET name = excluded.name, context = excluded.context, state = excluded.state;

-- name: insert_inbox
INSERT INTO inbox (id, conversation, key, kind, state, at_ms, attempts, reason, mark, media, why, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key, conversation) DO NOTHING;

-- name: find_key
SELECT 1 FROM inbox WHERE key = ? AND conversation = ?;

-- name: insert_outbox
INSERT INTO outbox (id, conversation, state, at_ms, source, attempt, due_ms, expires_ms, settled_ms, reason, peer_id, dedupe, mark, media, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: settle_range
UPDATE outbox SET state = 3, settled_ms = ?3 WHERE id BETWEEN ?1 AND ?2 AND state = 2;

-- name: settle_proven
UPDATE outbox
SET state = ?2, settled_ms = ?3, reason = ?5,
    peer_id = CASE WHEN ?4 = '' THEN peer_id ELSE ?4 END
WHERE id = ?1 AND (state = 2 OR (state = 3 AND ?2 = 4));

-- name: settle_other
UPDATE outbox
SET state = ?2, mark = ?2, settled_ms = ?3, reason = ?5, due_ms = ?6,
    peer_id = CASE WHEN ?4 = '' THEN peer_id ELSE ?4 END
WHERE id = ?1 AND state = 2;

-- name: claim
UPDATE outbox
SET state = 2, mark = NULL, attempt = attempt + 1, due_ms = 0, reason = ''
WHERE id = ? AND state = 1
RETURNING conversation;

-- name: finish_inbox
UPDATE inbox SET state = 1, mark = CASE kind WHEN 2 THEN 4 END, why = ?2
WHERE id = ?1 AND state = 0;

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

-- name: waiting
SELECT id, conversation, key, kind, state, at_ms, attempts, reason, media, why, body
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
SELECT c.line, c.account, c.kind, c.peer
FROM (SELECT DISTINCT conversation FROM outbox INDEXED BY outbox_queued WHERE mark = 1 LIMIT ?) q
CROSS JOIN conversation c ON c.id = q.conversation;

-- name: expired
SELECT id FROM outbox INDEXED BY outbox_mark
WHERE mark = 1 AND expires_ms BETWEEN 1 AND ? ORDER BY id LIMIT ?;

-- name: expire
UPDATE outbox SET state = 7, mark = 7, settled_ms = ?2, reason = ?3 WHERE id = ?1 AND state = 1;

-- name: bury
UPDATE outbox SET state = 8, mark = 8, settled_ms = ?2, reason = ?3 WHERE id = ?1 AND state = 1;

-- Outbox: people --------------------------------------------------------------------------------

-- name: delivery
SELECT o.id, o.conversation, o.state, o.at_ms, o.source, o.attempt, o.due_ms, o.expires_ms,
       o.settled_ms, o.reason, o.peer_id, o.dedupe, o.media, o.body,
       c.id, c.line, c.account, c.kind, c.peer, c.name, c.context, c.state
FROM outbox o CROSS JOIN conversation c ON c.id = o.conversation WHERE o.id = ?;

-- name: answers
SELECT id, conversation, state, at_ms, source, attempt, due_ms, expires_ms,
       settled_ms, reason, peer_id, dedupe, media, body
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
SELECT state, at_ms, expires_ms, body IS NOT NULL OR media IS NOT NULL FROM outbox WHERE id = ?;

-- name: move_delivery
UPDATE outbox
SET state = ?2, mark = ?3, reason = ?4, settled_ms = ?5, expires_ms = ?6, due_ms = 0
WHERE id = ?1;

-- name: uncertain_of_reason
SELECT id FROM outbox INDEXED BY outbox_mark WHERE mark = 5 AND reason = ? ORDER BY id;

-- Inbox: people ---------------------------------------------------------------------------------

-- name: message
SELECT id, conversation, key, kind, state, at_ms, attempts, reason, media, why, body
FROM inbox WHERE id = ?;

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
UPDATE inbox SET state = ?2, mark = ?3 WHERE id = ?1;

-- Start and numbers -----------------------------------------------------------------------------

-- name: has_versions
SELECT count(*) FILTER (WHERE name = 'alembic_version'), count(*) FROM sqlite_master;

-- name: revision
SELECT version_num FROM alembic_version;

-- name: next_fence
INSERT INTO meta (name, value) VALUES ('fence', 1)
ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value;

-- name: left_sending
SELECT o.id, c.line FROM outbox o CROSS JOIN conversation c ON c.id = o.conversation
WHERE o.state = 2;

-- name: mark_restarted
UPDATE outbox SET state = ?2, mark = ?2, settled_ms = ?3, reason = ?4 WHERE id = ?1;

-- name: clamp_queue
UPDATE outbox SET due_ms = ?1 WHERE mark = 1 AND due_ms > ?1;

-- name: last_id
SELECT max(coalesce((SELECT max(id) FROM inbox), 0), coalesce((SELECT max(id) FROM outbox), 0));

-- name: count_outbox
SELECT count(*) FROM (SELECT 1 FROM outbox INDEXED BY outbox_mark WHERE mark = ? LIMIT ?);

-- name: count_inbox
SELECT count(*) FROM (SELECT 1 FROM inbox INDEXED BY inbox_mark WHERE mark = ? LIMIT ?);

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

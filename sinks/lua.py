"""The script that writes statistics: all or nothing, once or not at all.

Redis runs a script alone, but a script that fails half-way leaves what it has written. So everything is checked before
the first write: the type of every key, the position, the order of the chunks.
"""

from __future__ import annotations

# KEYS: sinks.keys.STATISTICS in that order.
# ARGV[1] head, msgpack: {start, finish, after, last, final, top, floor_ok, time}
#   start, finish  position (canonical JSON) before and behind the micro-batch
#   after, last    the word that the chunk before ended with ("" for the first), and the one that this one ends with
#   final          whether this is the last chunk, which also carries the counts and moves the position
# ARGV[2] words, ARGV[3] their tf, ARGV[4] their df: msgpack arrays of the same length
# ARGV[5] counts, msgpack: a list of {index of the key in KEYS, field, increment, field, increment, …}
# Returns {"applied"}, {"done"} (was applied before), or what stands in the way:
#   {"elsewhere", position}, {"half", finish, last}, {"type", key}
COMMIT = """
local names = {tf=1, df=2, top=3, df_words=4, df_tokens=5, totals=6, position=13, commit=14, as_of=15}
local head = cmsgpack.unpack(ARGV[1])
for i, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  local wanted = i == 3 and 'zset' or i == 13 and 'string' or 'hash'
  if kind ~= 'none' and kind ~= wanted then return {'type', key, kind, wanted} end
end
local position = redis.call('GET', KEYS[names.position]) or ''
if position == head.finish then return {'done'} end
if position ~= head.start then return {'elsewhere', position} end
local open = redis.call('HMGET', KEYS[names.commit], 'finish', 'last')
local open_finish, open_last = open[1] or head.finish, open[2] or ''
if open_finish ~= head.finish or open_last ~= head.after then return {'half', open_finish, open_last} end

local words, tfs, dfs = cmsgpack.unpack(ARGV[2]), cmsgpack.unpack(ARGV[3]), cmsgpack.unpack(ARGV[4])
local counts = cmsgpack.unpack(ARGV[5])
local key_tf, key_df, key_top = KEYS[names.tf], KEYS[names.df], KEYS[names.top]

-- A word below the last ranked one cannot be among the most frequent: spared a ZADD.
local floor = 0
local ranked = redis.call('ZRANGE', key_top, head.top - 1, head.top - 1, 'WITHSCORES')
if ranked[2] then floor = -tonumber(ranked[2]) end

local new_words, df_words, df_tokens = 0, {}, {}
local function move(df, words_by, tokens_by)
  df_words[df] = (df_words[df] or 0) + words_by
  df_tokens[df] = (df_tokens[df] or 0) + tokens_by
end
for i = 1, #words do
  local word, tf, df = words[i], tfs[i], dfs[i]
  local now_tf = redis.call('HINCRBY', key_tf, word, tf)
  local now_df = redis.call('HINCRBY', key_df, word, df)
  local old_tf, old_df = now_tf - tf, now_df - df
  if old_df > 0 then move(old_df, -1, -old_tf) else new_words = new_words + 1 end
  if now_df > 0 then
    move(now_df, 1, now_tf)
    if now_tf >= floor then redis.call('ZADD', key_top, -now_tf, word) end
  else
    new_words = new_words - 1
    redis.call('HDEL', key_tf, word)
    redis.call('HDEL', key_df, word)
    redis.call('ZREM', key_top, word)
  end
end
redis.call('ZREMRANGEBYRANK', key_top, head.top, -1)
local function apply(key, by)
  for field, n in pairs(by) do
    if n ~= 0 and redis.call('HINCRBY', key, field, n) == 0 then redis.call('HDEL', key, field) end
  end
end
apply(KEYS[names.df_words], df_words)
apply(KEYS[names.df_tokens], df_tokens)
if new_words ~= 0 then redis.call('HINCRBY', KEYS[names.totals], 'words', new_words) end

if not head.final then
  redis.call('HSET', KEYS[names.commit], 'finish', head.finish, 'last', head.last)
  return {'applied'}
end
for _, group in ipairs(counts) do
  local key = KEYS[group[1]]
  for i = 2, #group, 2 do
    if group[i + 1] ~= 0 and redis.call('HINCRBY', key, group[i], group[i + 1]) == 0 then
      redis.call('HDEL', key, group[i])
    end
  end
end
redis.call('SET', KEYS[names.position], head.finish)
redis.call('HSET', KEYS[names.as_of], 'time', head.time)
redis.call('DEL', KEYS[names.commit])
return {'applied'}
"""

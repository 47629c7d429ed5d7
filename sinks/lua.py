"""The script that writes statistics: all or nothing, once or not at all.

Redis runs a script alone, but a script that fails half-way leaves what it has written. So everything is checked before
the first write: the type of every key, the position, the order of the chunks.
"""

from __future__ import annotations

# KEYS: sinks.keys.STATISTICS in that order.
# ARGV[1] head, msgpack: {start, finish, after, last, final, top, time, less}
#   start, finish  position (canonical JSON) before and behind the micro-batch
#   after, last    the word that the chunk before ended with ("" for the first), and the one that this one ends with
#   final          whether this is the last chunk, which also carries the counts and moves the position
#   less           whether these are negatives: words that others now overtake leave `top`, which has to be ranked anew
# ARGV[2] words, ARGV[3] their tf, ARGV[4] their df: msgpack arrays of the same length
# ARGV[5] counts, msgpack: a list of {index of the key in KEYS, fields, amounts to add}
# Returns {"applied"}, {"done"} (was applied before), or what stands in the way:
#   {"elsewhere", position}, {"half", finish, last}, {"type", key}
COMMIT = """
local names = {words=1, top=2, df_words=3, df_tokens=4, totals=5, position=12, commit=13, as_of=14}
local head = cmsgpack.unpack(ARGV[1])
for i, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  local wanted = i == names.top and 'zset' or i == names.position and 'string' or 'hash'
  if kind ~= 'none' and kind ~= wanted then return {'type', key, kind, wanted} end
end
local position = redis.call('GET', KEYS[names.position]) or ''
if position == head.finish then return {'done'} end
if position ~= head.start then return {'elsewhere', position} end
local open = redis.call('HMGET', KEYS[names.commit], 'finish', 'last')
local open_finish, open_last = open[1] or head.finish, open[2] or ''
if open_finish ~= head.finish or open_last ~= head.after then return {'half', open_finish, open_last} end

-- Reading and writing a block of fields in one command each costs a third of a command for every field; nothing can
-- come between the two, a script runs alone. Below Lua's limit on arguments (about 8,000).
local BLOCK = 2000

-- Add to fields of a hash; a field that becomes 0 is removed.
local function add(key, fields, amounts)
  for first = 1, #fields, BLOCK do
    local last = math.min(first + BLOCK - 1, #fields)
    local old = redis.call('HMGET', key, unpack(fields, first, last))
    local set, gone = {}, {}
    for i = first, last do
      local new = (tonumber(old[i - first + 1]) or 0) + amounts[i]
      if new == 0 then gone[#gone + 1] = fields[i]
      else set[#set + 1] = fields[i] set[#set + 1] = new end
    end
    if #set > 0 then redis.call('HSET', key, unpack(set)) end
    if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
  end
end

local words, tfs, dfs = cmsgpack.unpack(ARGV[2]), cmsgpack.unpack(ARGV[3]), cmsgpack.unpack(ARGV[4])
local key_words, key_top = KEYS[names.words], KEYS[names.top]

-- A word below the last ranked one cannot be among the most frequent: spared a ZADD.
local floor, last_ranked = 0, ''
local ranked = redis.call('ZRANGE', key_top, head.top - 1, head.top - 1, 'WITHSCORES')
if ranked[2] then floor, last_ranked = -tonumber(ranked[2]), ranked[1] end
-- Lua's own comparison goes by the locale of the server; Redis ranks by bytes.
local function is_before(left, right)
  for i = 1, math.min(#left, #right) do
    local a, b = string.byte(left, i), string.byte(right, i)
    if a ~= b then return a < b end
  end
  return #left <= #right
end

local new_words, df_words, df_tokens = 0, {}, {}
local function move(df, words_by, tokens_by)
  df_words[df] = (df_words[df] or 0) + words_by
  df_tokens[df] = (df_tokens[df] or 0) + tokens_by
end
-- What stands in the hash is read once and written once a word: tf and df together, as text. Most counts are small;
-- to look a text up takes less time than to make it.
local texts, known = {}, {}
local function text(n)
  local made = texts[n]
  if not made then
    made = string.format('%.0f', n)
    texts[n] = made
  end
  return made
end
local function counts(entry)
  local pair = known[entry]
  if not pair then
    local space = string.find(entry, ' ', 1, true)
    pair = {tonumber(string.sub(entry, 1, space - 1)), tonumber(string.sub(entry, space + 1))}
    known[entry] = pair
  end
  return pair[1], pair[2]
end
-- Words of the first micro-batch of a build are all new: nothing has to be read.
local is_first = position == ''
for first = 1, #words, BLOCK do
  local last = math.min(first + BLOCK - 1, #words)
  local old = not is_first and redis.call('HMGET', key_words, unpack(words, first, last))
  local set, set_top, fallen, gone = {}, {}, {}, {}
  local n = 0
  for i = first, last do
    local word, tf, df = words[i], tfs[i], dfs[i]
    local entry = old and old[i - first + 1]
    if entry then
      local old_tf, old_df = counts(entry)
      tf, df = tf + old_tf, df + old_df
      move(old_df, -1, -old_tf)
    else
      new_words = new_words + 1
    end
    if df > 0 then
      move(df, 1, tf)
      set[n + 1], set[n + 2] = word, text(tf) .. ' ' .. text(df)
      n = n + 2
      if tf > floor or tf == floor and is_before(word, last_ranked) then
        set_top[#set_top + 1] = -tf
        set_top[#set_top + 1] = word
      elseif tfs[i] < 0 then fallen[#fallen + 1] = word end
    else
      new_words = new_words - 1
      gone[#gone + 1] = word
    end
  end
  if n > 0 then redis.call('HSET', key_words, unpack(set)) end
  if #set_top > 0 then redis.call('ZADD', key_top, unpack(set_top)) end
  if #fallen > 0 then redis.call('ZREM', key_top, unpack(fallen)) end
  if #gone > 0 then
    redis.call('HDEL', key_words, unpack(gone))
    redis.call('ZREM', key_top, unpack(gone))
  end
end
redis.call('ZREMRANGEBYRANK', key_top, head.top, -1)
for key, by in pairs({[KEYS[names.df_words]] = df_words, [KEYS[names.df_tokens]] = df_tokens}) do
  local fields, amounts = {}, {}
  for field, n in pairs(by) do
    fields[#fields + 1] = field
    amounts[#amounts + 1] = n
  end
  add(key, fields, amounts)
end
add(KEYS[names.totals], {'words'}, {new_words})

if not head.final then
  redis.call('HSET', KEYS[names.commit], 'finish', head.finish, 'last', head.last)
  return {'applied'}
end
for _, group in ipairs(cmsgpack.unpack(ARGV[5])) do
  add(KEYS[group[1]], group[2], group[3])
end
redis.call('SET', KEYS[names.position], head.finish)
redis.call('HSET', KEYS[names.as_of], 'time', head.time)
if head.less then redis.call('HSET', KEYS[names.as_of], 'ranks', 'stale') end
redis.call('DEL', KEYS[names.commit])
return {'applied'}
"""

-- The first schema. Times are microseconds since 1970, bodies are serialised
-- messages of attune.v1; columns beside a body are copies to search by.

CREATE TABLE settings (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE datasets (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  uid TEXT NOT NULL UNIQUE,
  body BLOB NOT NULL
);

-- An append, an upload, or the rows of one job. dataset and first_row are NULL
-- while it is being filled and for the rows of a job.
CREATE TABLE segments (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  dataset INTEGER REFERENCES datasets (number) ON DELETE CASCADE,
  first_row INTEGER,
  num_rows INTEGER NOT NULL DEFAULT 0,
  UNIQUE (dataset, first_row)
);

-- Rows as lines; first_row counts within the segment.
CREATE TABLE blocks (
  segment INTEGER NOT NULL REFERENCES segments (id) ON DELETE CASCADE,
  first_row INTEGER NOT NULL,
  num_rows INTEGER NOT NULL,
  lines TEXT NOT NULL,
  PRIMARY KEY (segment, first_row)
);

CREATE TABLE jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  uid TEXT NOT NULL UNIQUE,
  state INTEGER NOT NULL,
  prompt TEXT NOT NULL,
  base_model TEXT NOT NULL,
  worker TEXT NOT NULL,
  create_time INTEGER NOT NULL,
  -- The dataset's number, or 0 where the job has rows of its own in segment.
  dataset INTEGER NOT NULL,
  segment INTEGER REFERENCES segments (id),
  instance TEXT NOT NULL,
  losses INTEGER NOT NULL,
  finished_attempt INTEGER NOT NULL,
  finish_hash TEXT NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX jobs_by_state ON jobs (state, number);
CREATE INDEX jobs_by_segment ON jobs (segment);

-- The last attempt of deleted jobs. A job that is made again under the id goes
-- on from there, so that no late call of the old one passes for one of its own.
CREATE TABLE attempt_numbers (
  job TEXT PRIMARY KEY,
  last INTEGER NOT NULL
) WITHOUT ROWID;

-- type: 1 state change, 2 progress, 3 notice.
CREATE TABLE events (
  job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
  sequence INTEGER NOT NULL,
  type INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (job, sequence)
) WITHOUT ROWID;

CREATE TABLE checkpoints (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
  digest TEXT NOT NULL,
  step INTEGER NOT NULL,
  UNIQUE (job, digest)
);

CREATE TABLE prompts (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  uid TEXT NOT NULL UNIQUE,
  create_time INTEGER NOT NULL,
  update_time INTEGER NOT NULL
);

-- Outlives the prompt, so that a version's number is never used again.
CREATE TABLE version_numbers (
  prompt TEXT PRIMARY KEY,
  next INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE versions (
  prompt INTEGER NOT NULL REFERENCES prompts (number) ON DELETE CASCADE,
  version INTEGER NOT NULL,
  job_uid TEXT NOT NULL UNIQUE,
  artifact TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (prompt, version)
);
CREATE INDEX versions_by_artifact ON versions (artifact);

CREATE TABLE aliases (
  prompt INTEGER NOT NULL REFERENCES prompts (number) ON DELETE CASCADE,
  alias TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (prompt, alias),
  FOREIGN KEY (prompt, version) REFERENCES versions (prompt, version)
) WITHOUT ROWID;

CREATE TABLE requests (
  method TEXT NOT NULL,
  request_id TEXT NOT NULL,
  hash TEXT NOT NULL,
  uid TEXT NOT NULL,
  expire_time INTEGER NOT NULL,
  PRIMARY KEY (method, request_id)
) WITHOUT ROWID;
CREATE INDEX requests_by_expire_time ON requests (expire_time);

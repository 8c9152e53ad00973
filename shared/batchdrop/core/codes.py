"""The stable codes of everything that can go wrong, each with one sentence and what a person can do about it.

Where a code is used the sentence may say more: which field, which limit, how many. Codes are never renamed.

    of a line      in rejections.jsonl     |  of a row             in errors-*.jsonl and manifests
    of an upload   in jobs and manifests   |  of the stack         in logs and on the command line

Codes that begin with one of `FAMILIES` end with a provider's own word and are not listed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Self

FAMILIES: Final = ("PROVIDER_", "ANSWER_", "PROMPT_", "BATCH_", "CREATE_")

# What mends more than one of them.
_AGAIN: Final = "Nothing: it is tried again by itself; if it lasts, tell the operator."
_NEVER: Final = "Report it: this should not happen."
_IN_LOGS: Final = "Tell the operator: the logs hold the reason."
_LOG_IN: Final = "Run `gcloud auth application-default login`."
_SENTENCE: Final = "The sentence says what."
_SETTING: Final = "Correct the setting that the sentence names."
_RELEASE: Final = (
    "Release it to let it run all the same, or raise the limit and upload it again."
)
_UPLOAD_AGAIN: Final = "Upload the file again if you want its answers."
_COMPRESS: Final = "Compress the file again, or not at all."
_PUBLISH_NOTHING: Final = "Publish nothing on the stack's topics."


class Code(StrEnum):
    """What went wrong: its stable name, a sentence, and how to mend it."""

    sentence: str
    fix: str

    def __new__(cls, name: str, sentence: str, fix: str) -> Self:
        """Keep sentence and fix beside the name."""
        code = str.__new__(cls, name)
        code._value_ = name
        code.sentence = sentence
        code.fix = fix
        return code

    # ---------------------------------------------------------------------------------------------- of a line
    NOT_UTF8 = "NOT_UTF8", "The line is not UTF-8.", "Save the file as UTF-8."
    NOT_JSON = (
        "NOT_JSON",
        "What should be JSON is not.",
        "Write one JSON object on one line.",
    )
    NOT_OBJECT = (
        "NOT_OBJECT",
        "The line is JSON but not an object.",
        'Write {"key": …, "request": {…}}.',
    )
    DUPLICATE_NAME = (
        "DUPLICATE_NAME",
        "An object has two fields of one name.",
        "Keep one of the two; which one counts differs from reader to reader.",
    )
    TOO_DEEP = "TOO_DEEP", "The line is nested too deep.", "Flatten the value."
    BAD_NUMBER = (
        "BAD_NUMBER",
        "A number is not JSON, or too large.",
        "JSON has no NaN or Infinity; write numbers a double can hold.",
    )
    LONE_SURROGATE = (
        "LONE_SURROGATE",
        "A string holds half of a surrogate pair.",
        "Write the character whole: both halves of the pair, or the character itself.",
    )
    MISSING_FIELD = "MISSING_FIELD", "A field is missing.", "Add the field."
    UNKNOWN_FIELD = (
        "UNKNOWN_FIELD",
        "There is no such field here.",
        "Remove the field or correct its name.",
    )
    MISPLACED_FIELD = (
        "MISPLACED_FIELD",
        "The field belongs elsewhere.",
        "Move the field to where the sentence says.",
    )
    WRONG_TYPE = (
        "WRONG_TYPE",
        "The value has the wrong type.",
        "Write a value of the named type.",
    )
    OUT_OF_RANGE = (
        "OUT_OF_RANGE",
        "The value is out of its range.",
        "Write a value within the range.",
    )
    BAD_ENUM = (
        "BAD_ENUM",
        "The value is none of the words allowed.",
        "Use one of the words the Gemini API documents for this field.",
    )
    EMPTY = "EMPTY", "The value is empty.", "Put something in, or remove the field."
    PART_NOT_ONE = (
        "PART_NOT_ONE",
        "A part has no kind of data, or several.",
        "Give each part exactly one of text, inlineData, fileData, functionCall, functionResponse.",
    )
    BAD_BASE64 = (
        "BAD_BASE64",
        "The value is not base64, or empty.",
        "Encode the bytes as standard or URL-safe base64, without line breaks.",
    )
    BAD_URI = (
        "BAD_URI",
        "The value is no address of a file.",
        "Use the uri of an uploaded file (https://…/files/…), or an https or gs address.",
    )
    CACHE_CONFLICT = (
        "CACHE_CONFLICT",
        "The field cannot stand beside cached content.",
        "Put systemInstruction, tools and toolConfig into the cached content instead.",
    )
    SCHEMA_CONFLICT = (
        "SCHEMA_CONFLICT",
        "Two settings about the schema exclude each other.",
        "Keep one schema, and set responseMimeType to application/json.",
    )
    BAD_SCHEMA = (
        "BAD_SCHEMA",
        "The schema cannot be used.",
        "Write the schema as the Gemini API documents it.",
    )
    RAGGED_RECORD = (
        "RAGGED_RECORD",
        "The record has another number of cells than the header.",
        "Give the record as many cells as the header has; quote cells with the delimiter in them.",
    )
    BAD_QUOTES = (
        "BAD_QUOTES",
        "A quote is not closed, or stands where none may.",
        "Close the quote; write a quote inside a quoted cell twice.",
    )
    MODEL_MISMATCH = (
        "MODEL_MISMATCH",
        "The request names another model than the upload's.",
        "Remove the field; a batch has one model, set for the upload.",
    )
    NOT_SUPPORTED = (
        "NOT_SUPPORTED",
        "The field cannot be used in batches here.",
        "Remove the field; the Gemini Developer API has no batch requests with it.",
    )
    LINE_TOO_LONG = (
        "LINE_TOO_LONG",
        "The line is too long.",
        "Put large media in files and refer to them by fileData.",
    )
    TOO_COSTLY = (
        "TOO_COSTLY",
        "The line would take too much time or memory.",
        "Make it smaller or simpler: fewer values, fewer turns of loops, less text put together.",
    )
    MIXED_KINDS = (
        "MIXED_KINDS",
        "The upload mixes embedding requests with generation requests.",
        "Upload embedding requests and generation requests as two files.",
    )
    NO_EQUIVALENT = (
        "NO_EQUIVALENT",
        "The field has no translation.",
        "Remove the field, or write the request for Gemini.",
    )
    DIALECT_MIXED = (
        "DIALECT_MIXED",
        "The line is in another form than the file.",
        "Upload lines of different forms as different files.",
    )
    ATTACHMENT_FORBIDDEN = (
        "ATTACHMENT_FORBIDDEN",
        "The upload may not attach this object.",
        "Put the object into the input bucket, or name its bucket in the stack's settings.",
    )
    ATTACHMENT_MISSING = (
        "ATTACHMENT_MISSING",
        "There is no such object.",
        "Upload the object first, or correct its name.",
    )
    ATTACHMENT_SIZE = (
        "ATTACHMENT_SIZE",
        "The object is empty or too large.",
        "Attach an object that is not empty and not over 2 GB.",
    )
    # ------------------------------------------------------------------------------------------- of an upload
    EMPTY_UPLOAD = (
        "EMPTY_UPLOAD",
        "The upload is empty, or holds only blank lines.",
        "Upload one request a line.",
    )
    UPLOAD_TOO_LARGE = (
        "UPLOAD_TOO_LARGE",
        "The upload is larger than the stack takes.",
        "Cut it into several files.",
    )
    TOO_MANY_LINES = (
        "TOO_MANY_LINES",
        "The upload has more lines than the stack takes.",
        "Cut it into several files.",
    )
    ALL_LINES_REJECTED = (
        "ALL_LINES_REJECTED",
        "Every line was rejected.",
        "See rejections.jsonl.",
    )
    STRICT_POLICY = (
        "STRICT_POLICY",
        "Lines were rejected and the policy is strict.",
        "Mend the lines in rejections.jsonl and upload the file again.",
    )
    NOT_JSONL = (
        "NOT_JSONL",
        "The file is not JSON lines.",
        'Write one request a line: {"key": …, "request": {…}}.',
    )
    NO_REQUESTS = (
        "NO_REQUESTS",
        "The file holds neither one JSON object a line nor one array of them.",
        'Write one request a line, {"key": …, "request": {…}}, or one array of them.',
    )
    TEXT_FILE = (
        "TEXT_FILE",
        "A text file holds no requests and no records.",
        "Name it .jsonl if each line is a JSON object, or .csv if it is a table with a header.",
    )
    NO_UPLOAD = (
        "NO_UPLOAD",
        "A stack passes over a file of this name.",
        "Name it .jsonl, .json, .csv, .tsv or .parquet.",
    )
    PACKED = (
        "PACKED",
        "The file is packed in a way that is not read.",
        "Upload it plain or as .gz.",
    )
    SPREADSHEET = (
        "SPREADSHEET",
        "A spreadsheet is not read.",
        "Save it as CSV (UTF-8) and upload that.",
    )
    ARCHIVE = (
        "ARCHIVE",
        "An archive of several files is not read.",
        "Upload the files themselves, each plain or as .gz.",
    )
    UNKNOWN_TABLE = (
        "UNKNOWN_TABLE",
        "Tables of this kind are not read.",
        "Save it as Parquet, CSV or JSON lines.",
    )
    GZIP_INVALID = ("GZIP_INVALID", "The gzip file is damaged or cut off.", _COMPRESS)
    GZIP_BOMB = ("GZIP_BOMB", "The gzip file grows too much.", _COMPRESS)
    ARRAY_INVALID = (
        "ARRAY_INVALID",
        "The JSON array is cut off, or something stands beside it.",
        "Write the array again, whole and alone, or one request a line.",
    )
    PARQUET_BOMB = (
        "PARQUET_BOMB",
        "The Parquet file grows too much when it is read.",
        "Write the table without what repeats, or as several files.",
    )
    TABLE_INVALID = (
        "TABLE_INVALID",
        "The table cannot be read.",
        "Write the table again; the sentence says what is wrong with it.",
    )
    RECIPE_MISSING = (
        "RECIPE_MISSING",
        "The upload holds records, and no recipe says what to ask about them.",
        "Put a recipe.yaml into its folder or one above.",
    )
    RECIPE_INVALID = (
        "RECIPE_INVALID",
        "The recipe has a mistake.",
        "Mend the recipe and upload it again; jobs that wait for it go on then.",
    )
    RECIPE_WITHOUT_PROMPT = (
        "RECIPE_WITHOUT_PROMPT",
        "The recipe has neither prompt nor attachments.",
        "Give the recipe a prompt.",
    )
    METADATA_INVALID = (
        "METADATA_INVALID",
        "The upload's metadata has a setting that cannot be used.",
        "Upload the file again with the metadata mended.",
    )
    UNKNOWN_MODEL = (
        "UNKNOWN_MODEL",
        "The stack or its provider has no such model.",
        "Set the object metadata `model`, or the stack's default, to a model it allows.",
    )
    MODEL_CANNOT = (
        "MODEL_CANNOT",
        "The model cannot run requests of this kind in batches.",
        "Name another model: in the recipe, or as the object metadata `model`.",
    )
    CACHE_IMPOSSIBLE = (
        "CACHE_IMPOSSIBLE",
        "The job requires a context cache and cannot have one.",
        "Set `cache: auto`, or give the requests one longer beginning.",
    )
    COST_UNKNOWN = (
        "COST_UNKNOWN",
        "Nobody knows what the job will cost, and it has a limit.",
        _RELEASE,
    )
    OVER_MAX_COST = (
        "OVER_MAX_COST",
        "The job may cost more than its limit, or has spent it.",
        _RELEASE,
    )
    OVER_BUDGET = (
        "OVER_BUDGET",
        "The job would take a budget over its limit.",
        _RELEASE,
    )
    CANCELLED = (
        "CANCELLED",
        "The job was cancelled before this line was answered.",
        _UPLOAD_AGAIN,
    )
    DEADLINE = (
        "DEADLINE",
        "The job's deadline passed before this line was answered.",
        "Give the job more time, or `finish: standard`.",
    )
    STATE_LOST = (
        "STATE_LOST",
        "What was known of this upload was lost with the stack's documents, and no batch of it was found.",
        "Upload it again, or run `batchdrop rerun`.",
    )
    POISONED = ("POISONED", "A step crashed repeatedly and was given up.", _IN_LOGS)
    OVERDUE = ("OVERDUE", "The job had not ended long after its deadline.", _IN_LOGS)
    GONE = "GONE", "The object is gone or was replaced.", "Upload the file again."
    SNAPSHOT = (
        "SNAPSHOT",
        "The copy of the upload has other bytes than the upload.",
        "Upload the file again.",
    )
    NOT_POSSIBLE = (
        "NOT_POSSIBLE",
        "The job is not in a state in which this can be done.",
        "Look at its state first: `batchdrop status`.",
    )
    # ----------------------------------------------------------------------------------------------- of a row
    NO_ANSWER = (
        "NO_ANSWER",
        "The batch, or the call, gave no result for this line.",
        "Upload the line again.",
    )
    NO_CANDIDATE = (
        "NO_CANDIDATE",
        "The provider returned no candidate.",
        "Upload the line again, or word it otherwise.",
    )
    EMPTY_ANSWER = (
        "EMPTY_ANSWER",
        "The candidate holds no answer.",
        "Upload the line again, or allow more output tokens.",
    )
    NO_RESPONSE = (
        "NO_RESPONSE",
        "The provider's line holds neither a response nor an error.",
        "Upload the line again.",
    )
    RESPONSE_UNREADABLE = (
        "RESPONSE_UNREADABLE",
        "The provider's response has an unknown shape.",
        "Tell the operator: this version does not know the provider's form.",
    )
    NOT_AS_SCHEMA = (
        "NOT_AS_SCHEMA",
        "The answer does not keep to the schema.",
        "Simplify the schema, or take a stronger model.",
    )
    SCHEMA_TOO_COSTLY = (
        "SCHEMA_TOO_COSTLY",
        "The answer cannot be held against the schema in the time there is.",
        "Simplify the schema.",
    )
    RESULTS_LOST = (
        "RESULTS_LOST",
        "The batch ended, but its results can no longer be read.",
        "Upload the line again.",
    )
    CACHE_LOST = (
        "CACHE_LOST",
        "The context cache ended before its batch.",
        "Nothing: another round has a new cache.",
    )
    JOB_ENDED = ("JOB_ENDED", "The job ended before the shard did.", _UPLOAD_AGAIN)
    # ----------------------------------------------------------- of the stack: its settings and its start
    STACK_MISSING = (
        "STACK_MISSING",
        "The environment names no stack.",
        "Set the variables that `batchdrop --help` names.",
    )
    STACK_TWICE = (
        "STACK_TWICE",
        "Two stacks share one output bucket.",
        "Give each stack its own output bucket.",
    )
    IDENTITY_DAMAGED = (
        "IDENTITY_DAMAGED",
        "The stack's identity object cannot be read.",
        "Restore it, or delete it if no batch of this stack is running.",
    )
    EXTRA_MISSING = (
        "EXTRA_MISSING",
        "A part of the package is not installed.",
        "Install the extra that the sentence names.",
    )
    SETTINGS_INVALID = (
        "SETTINGS_INVALID",
        "A setting is missing, wrong, or contradicts another.",
        _SETTING,
    )
    CONFIGURATION = (
        "CONFIGURATION",
        "A setting is missing or contradicts another.",
        _SETTING,
    )
    ADDRESS_INVALID = (
        "ADDRESS_INVALID",
        "A provider's address cannot be called.",
        "Correct the address in the settings.",
    )
    API_KEY_MISSING = (
        "API_KEY_MISSING",
        "There is no provider key, or it cannot be read.",
        "Store the key where the settings say.",
    )
    CREDENTIALS_MISSING = (
        "CREDENTIALS_MISSING",
        "There are no Google credentials.",
        _LOG_IN,
    )
    CREDENTIALS_EXPIRED = (
        "CREDENTIALS_EXPIRED",
        "The Google credentials have expired.",
        _LOG_IN,
    )
    CREDENTIALS_INVALID = (
        "CREDENTIALS_INVALID",
        "The Google credentials cannot be used.",
        _LOG_IN,
    )
    CREDENTIALS_UNAVAILABLE = (
        "CREDENTIALS_UNAVAILABLE",
        "The Google credentials could not be refreshed.",
        _AGAIN,
    )
    # ------------------------------------------------------------------------------------------ its objects
    STORAGE_UNAVAILABLE = (
        "STORAGE_UNAVAILABLE",
        "Cloud Storage could not be reached.",
        _AGAIN,
    )
    OBJECTS_BUSY = ("OBJECTS_BUSY", "The folder is locked by another process.", _AGAIN)
    OBJECT_EXISTS = (
        "OBJECT_EXISTS",
        "The object exists, or may not be replaced.",
        _NEVER,
    )
    OBJECT_GONE = ("OBJECT_GONE", "A new object was gone at once.", _AGAIN)
    OBJECT_NAME = (
        "OBJECT_NAME",
        "An object cannot have this name.",
        "Give the upload a shorter name without control characters.",
    )
    OBJECT_METADATA = (
        "OBJECT_METADATA",
        "An object's metadata is too long.",
        "Upload the file with less metadata.",
    )
    OUTPUT_CONFLICT = (
        "OUTPUT_CONFLICT",
        "An output object exists with other bytes.",
        "Move the object away; another program writes into this bucket.",
    )
    BUCKET_FORBIDDEN = (
        "BUCKET_FORBIDDEN",
        "The account lacks a role on the bucket.",
        "Deploy the program again: it grants the role.",
    )
    BUCKET_NAME = (
        "BUCKET_NAME",
        "Cloud Storage has no bucket of this name.",
        "Correct the bucket's name.",
    )
    # ---------------------------------------------------------------------------------------- its documents
    RECORDS_UNAVAILABLE = (
        "RECORDS_UNAVAILABLE",
        "Firestore could not be reached.",
        _AGAIN,
    )
    RECORDS_BUSY = (
        "RECORDS_BUSY",
        "The documents are locked by another process.",
        _AGAIN,
    )
    RECORDS_DATABASE = (
        "RECORDS_DATABASE",
        "The Firestore database does not exist yet.",
        "Deploy the program again, or wait until it is ready.",
    )
    RECORDS_INDEX = (
        "RECORDS_INDEX",
        "Firestore has no index for a query yet.",
        "Nothing: the index is being built.",
    )
    RECORDS_FORMAT = (
        "RECORDS_FORMAT",
        "The data folder was written by another version.",
        "Use the version that wrote it, or another folder.",
    )
    RECORD_FORMAT = (
        "RECORD_FORMAT",
        "A document was written by another version.",
        "Use the version that wrote it.",
    )
    DOCUMENT_GONE = ("DOCUMENT_GONE", "A document is gone.", _NEVER)
    RECORD_ID = ("RECORD_ID", "A document cannot have this id.", _NEVER)
    RECORD_REFUSED = (
        "RECORD_REFUSED",
        "The store does not take this document.",
        _NEVER,
    )
    RECORD_SHAPE = (
        "RECORD_SHAPE",
        "A document has other index fields than declared.",
        _NEVER,
    )
    RECORD_TOO_LARGE = ("RECORD_TOO_LARGE", "A document is too large.", _NEVER)
    # ----------------------------------------------------------------------------------------- its messages
    TOPICS_UNAVAILABLE = ("TOPICS_UNAVAILABLE", "Pub/Sub could not be reached.", _AGAIN)
    TOPICS_BUSY = ("TOPICS_BUSY", "The queue is locked by another process.", _AGAIN)
    TOPICS_TIMEOUT = ("TOPICS_TIMEOUT", "Pub/Sub did not answer in time.", _AGAIN)
    MESSAGE_REFUSED = ("MESSAGE_REFUSED", "Pub/Sub does not take this message.", _NEVER)
    MESSAGE_TOO_LARGE = ("MESSAGE_TOO_LARGE", "A message is too large.", _NEVER)
    ATTRIBUTES_INVALID = (
        "ATTRIBUTES_INVALID",
        "A message's attributes are too many or too long.",
        "Give the upload fewer or shorter labels.",
    )
    PUSH_INVALID = (
        "PUSH_INVALID",
        "The body is not a Pub/Sub push envelope.",
        "Send nothing to the function but the pushes of its subscription.",
    )
    WAKE_INVALID = ("WAKE_INVALID", "The message is not a wake.", _PUBLISH_NOTHING)
    NOTIFICATION_INVALID = (
        "NOTIFICATION_INVALID",
        "The storage notification lacks the object's name or generation.",
        _PUBLISH_NOTHING,
    )
    # ------------------------------------------------------------------------- its workers among themselves
    LEASE_HELD = ("LEASE_HELD", "Another worker holds the lease.", _AGAIN)
    LEASE_LOST = ("LEASE_LOST", "Another worker owns the document now.", _AGAIN)
    MOVED_ON = ("MOVED_ON", "Another worker went on with the job.", _AGAIN)
    CONTENTION = ("CONTENTION", "A document kept changing.", _AGAIN)
    CONFLICT = ("CONFLICT", "A document has another version than the one read.", _AGAIN)
    PRECONDITION = ("PRECONDITION", "A compare-and-set lost.", _AGAIN)
    ILLEGAL_MOVE = (
        "ILLEGAL_MOVE",
        "A document cannot go from one state to the other.",
        _NEVER,
    )
    TIME_OVER = ("TIME_OVER", "The call's time is over.", _AGAIN)
    # -------------------------------------------------------------------------- what it sends to a provider
    SIZE_MISMATCH = (
        "SIZE_MISMATCH",
        "The rendered shard has another length than planned.",
        _NEVER,
    )
    CHECKSUM = (
        "CHECKSUM",
        "The staged file has another checksum than what was sent.",
        _AGAIN,
    )
    INTENT_LATE = (
        "INTENT_LATE",
        "Too much time passed between intent and create.",
        _AGAIN,
    )
    CAPACITY = ("CAPACITY", "The provider has no room now.", _AGAIN)
    UNKNOWN_OUTCOME = (
        "UNKNOWN_OUTCOME",
        "Whether the call had an effect is not known.",
        "Nothing: it is looked up before anything is repeated.",
    )
    # -------------------------------------------------------------------------- what has no code of its own
    TRANSIENT = ("TRANSIENT", "Something passing went wrong.", _AGAIN)
    PERMANENT = (
        "PERMANENT",
        "Something went wrong that no repetition can help.",
        _SENTENCE,
    )
    BATCHDROP_ERROR = ("BATCHDROP_ERROR", "Something went wrong.", _SENTENCE)

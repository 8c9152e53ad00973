#!/bin/sh
# The floor: curl moves the same bytes to the provider and back, and nobody looks into them. transfer.sh INPUT OUTPUT
set -e
key="x-goog-api-key: $GEMINI_API_KEY" api="$GOOGLE_GEMINI_BASE_URL"
text() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }

url=$(curl -sSf -D - -o /dev/null -H "$key" -H "Content-Type: application/json" \
  -H "X-Goog-Upload-Protocol: resumable" -H "X-Goog-Upload-Command: start" \
  -d '{"file": {"displayName": "requests", "mimeType": "application/jsonl"}}' "$api/upload/v1beta/files" |
  tr -d '\r' | sed -n 's/^[Xx]-[Gg]oog-[Uu]pload-[Uu][Rr][Ll]: //p')
file=$(curl -sSf -H "$key" -H "X-Goog-Upload-Offset: 0" -H "X-Goog-Upload-Command: upload, finalize" \
  -H "Expect:" -T "$1" -X POST "$url" | tr ',' '\n' | text name)
batch=$(curl -sSf -H "$key" -H "Content-Type: application/json" \
  -d "{\"batch\": {\"displayName\": \"floor\", \"inputConfig\": {\"fileName\": \"$file\"}}}" \
  "$api/v1beta/models/gemini-2.5-flash-lite:batchGenerateContent" | tr ',' '\n' | text name)
result=$(curl -sSf -H "$key" "$api/v1beta/$batch" | tr ',{' '\n\n' | text responsesFile)
curl -sSf -H "$key" -o "$2" "$api/download/v1beta/$result:download?alt=media"

b64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
head=$(printf '{"alg":"HS256","typ":"JWT"}' | b64url)
body=$(printf '{"sub":"me","tenantId":"ikea","exp":%d}' $(($(date +%s) + 3600)) | b64url)
sign=$(printf '%s.%s' "$head" "$body" | openssl dgst -sha256 -hmac "$JWT_SECRET" -binary | b64url)
curl -i -H "Authorization: Bearer $head.$body.$sign" '127.0.0.1:28081/api/v1/route?storeId=oslo-01'

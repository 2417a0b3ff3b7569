# pip install pyjwt
# IDENTIFY_SECRET=... python identify_token.py SITE CRM_ID [VISITOR]
import os
import sys
import time

import jwt


def identify_token(secret: str, site: str, crm_id: str, visitor: str = "") -> str:
    now = int(time.time())
    claims = {"sub": crm_id, "aud": site, "iat": now, "exp": now + 600}
    if visitor:
        claims["vis"] = visitor
    return jwt.encode(claims, secret, algorithm="HS256")


sys.stdout.write(identify_token(os.environ["IDENTIFY_SECRET"], *sys.argv[1:]))

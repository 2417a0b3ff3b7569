<?php // IDENTIFY_SECRET=... php identify_token.php SITE CRM_ID [VISITOR]
function part(string $bytes): string
{
    return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
}

function identify_token(string $secret, string $site, string $crm_id, string $visitor = ''): string
{
    $claims = ['sub' => $crm_id, 'aud' => $site, 'iat' => time(), 'exp' => time() + 600];
    if ($visitor !== '') {
        $claims['vis'] = $visitor;
    }
    $text = part('{"alg":"HS256","typ":"JWT"}') . '.' . part(json_encode($claims, JSON_THROW_ON_ERROR));
    return $text . '.' . part(hash_hmac('sha256', $text, $secret, true));
}

echo identify_token(getenv('IDENTIFY_SECRET'), ...array_slice($argv, 1)), "\n";

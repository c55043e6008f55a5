<?php
declare(strict_types=1);

/**
 * Signed tokens (JSON Web Tokens, RFC 7519) with one algorithm, HMAC-SHA256,
 * in the few lines that this example needs. In a real project take the package
 * firebase/php-jwt: it knows other algorithms, key ids and rotation.
 */
final class Jwt
{
    /** Makes a token that ends $seconds from now. */
    public static function sign(array $claims, string $secret, int $seconds): string
    {
        $claims += ['iat' => time(), 'exp' => time() + $seconds];
        $text = self::encode(json_encode(['alg' => 'HS256', 'typ' => 'JWT'])) . '.' . self::encode(json_encode($claims, JSON_THROW_ON_ERROR));
        return $text . '.' . self::signature($text, $secret);
    }

    /**
     * Returns the claims of a token that is ours and not over, else throws.
     * $leeway: how many seconds the clocks of two machines may differ.
     */
    public static function verify(string $token, string $secret, int $leeway = 5): array
    {
        $parts = explode('.', $token, 4);
        if (strlen($token) > 4096 || count($parts) !== 3) {
            throw new UnexpectedValueException('not a token');
        }
        [$head, $body, $signature] = $parts;

        // The algorithm is ours to choose, never the token's: "none" is a known trick.
        $header = self::decode($head);
        if (($header['alg'] ?? '') !== 'HS256' || isset($header['crit'])) {
            throw new UnexpectedValueException('wrong algorithm');
        }
        if (!hash_equals(self::signature("$head.$body", $secret), $signature)) {
            throw new UnexpectedValueException('wrong signature');
        }
        $claims = self::decode($body);
        $now = time();
        if (!is_int($claims['exp'] ?? null)) {
            throw new UnexpectedValueException('a token without an end');
        }
        if ($claims['exp'] + $leeway <= $now) {
            throw new UnexpectedValueException('expired');
        }
        if (($claims['nbf'] ?? 0) > $now + $leeway || ($claims['iat'] ?? 0) > $now + $leeway) {
            throw new UnexpectedValueException('not valid yet');
        }
        return $claims;
    }

    private static function signature(string $text, string $secret): string
    {
        if (strlen($secret) < 32) {
            throw new LogicException('the secret needs at least 32 bytes');
        }
        return self::encode(hash_hmac('sha256', $text, $secret, true));
    }

    private static function encode(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }

    private static function decode(string $part): array
    {
        $value = json_decode((string) base64_decode(strtr($part, '-_', '+/'), true), true, 8);
        return is_array($value) ? $value : throw new UnexpectedValueException('not a token');
    }
}

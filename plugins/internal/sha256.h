// sha256.h: SHA-256 (FIPS 180-4).
#ifndef SHA256_H
#define SHA256_H

#include "edgerelay.h"

typedef struct {
    uint32_t h[8];
    uint8_t block[64];
    uint32_t filled;
    uint64_t length;
} sha256;

static uint32_t sha256_rotate(uint32_t v, int n) { return v >> n | v << (32 - n); }

static void sha256_block(sha256 *s) {
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
        0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
        0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
        0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
        0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
        0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)s->block[4 * i] << 24 | (uint32_t)s->block[4 * i + 1] << 16 | (uint32_t)s->block[4 * i + 2] << 8 | s->block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (sha256_rotate(a, 7) ^ sha256_rotate(a, 18) ^ a >> 3) + w[i - 7] + (sha256_rotate(b, 17) ^ sha256_rotate(b, 19) ^ b >> 10);
    }
    for (int i = 0; i < 8; i++) v[i] = s->h[i];
    for (int i = 0; i < 64; i++) {
        uint32_t a = v[0], e = v[4];
        uint32_t t1 = v[7] + (sha256_rotate(e, 6) ^ sha256_rotate(e, 11) ^ sha256_rotate(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
        uint32_t t2 = (sha256_rotate(a, 2) ^ sha256_rotate(a, 13) ^ sha256_rotate(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        for (int j = 7; j > 0; j--) v[j] = v[j - 1];
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) s->h[i] += v[i];
}

static sha256 sha256_begin(void) {
    return (sha256){.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

static void sha256_byte(sha256 *s, uint8_t c) {
    s->block[s->filled++] = c;
    if (s->filled < sizeof s->block) return;
    sha256_block(s);
    s->filled = 0;
}

static void sha256_add(sha256 *s, er_str text) {
    for (uint32_t i = 0; i < text.n; i++) sha256_byte(s, (uint8_t)text.p[i]);
    s->length += text.n;
}

// sha256_end writes the 64 hexadecimal digits to out.
static void sha256_end(sha256 *s, char *out) {
    uint64_t bits = s->length * 8;
    sha256_byte(s, 0x80);
    while (s->filled != 56) sha256_byte(s, 0);
    for (int i = 56; i >= 0; i -= 8) sha256_byte(s, (uint8_t)(bits >> i));
    for (int i = 0; i < 64; i++) {
        uint32_t digit = s->h[i / 8] >> (28 - 4 * (i % 8)) & 15;
        out[i] = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
    }
}

#endif

// mask: replaces e-mail addresses in an event, ada@example.com -> a***@example.com, and adds the header X-Masked.
//
// No library, no allocator: the event is read into a buffer, and written again piece by piece. It shows the raw ABI; plugins/build.sh builds it.

#define IMPORT(name) __attribute__((import_module("edgerelay_v1"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))

IMPORT(input_read) int input_read(void *ptr, int cap);
IMPORT(output_write) void output_write(const void *ptr, int len);
IMPORT(set) int set(const void *key, int key_len, const void *value, int value_len);
IMPORT(reason) void reason(const void *ptr, int len);

enum { SEND = 0, FAIL = 2 };

#define PAGE 65536

// The input lies behind everything else; memory grows when it has to.
extern unsigned char __heap_base;

static unsigned char *input;
static int length;

static int read_input(void) {
    input = &__heap_base;
    int room = __builtin_wasm_memory_size(0) * PAGE - (int)input;
    length = input_read(input, room);
    if (length <= room) return 1;
    if (__builtin_wasm_memory_grow(0, (length - room + PAGE - 1) / PAGE) == (unsigned long)-1) return 0;
    input_read(input, length);
    return 1;
}

static int is_alnum(unsigned char c) { return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'); }

// Characters before the @, and the letters of other languages (bytes above 127).
static int is_local(unsigned char c) {
    return is_alnum(c) || c >= 0x80 || c == '.' || c == '_' || c == '%' || c == '+' || c == '-' || c == '\'';
}

static int is_domain(unsigned char c) { return is_alnum(c) || c >= 0x80 || c == '-'; }

// domain returns where the domain that begins at i ends, or i when there is none: labels with a dot between them.
static int domain(int i) {
    int dots = 0, j = i;
    for (;;) {
        int label = j;
        while (j < length && is_domain(input[j])) j++;
        if (j == label) return dots > 1 ? j - 1 : i; // "a.example." ends before the last dot
        if (j == length || input[j] != '.') return dots > 0 ? j : i;
        dots++, j++;
    }
}

// first_end returns where the first character that begins at i ends; it may take up to four bytes.
static int first_end(int i) {
    i++;
    while (i < length && (input[i] & 0xc0) == 0x80) i++;
    return i;
}

EXPORT(transform) int transform(void) {
    if (!read_input()) {
        static const char why[] = "the event is too large for the memory";
        reason(why, sizeof why - 1);
        return FAIL;
    }
    int masked = 0, written = 0; // written: what lies before it is out
    int start = 0;               // of the run of local characters before i
    for (int i = 0; i < length; i++) {
        unsigned char c = input[i];
        if (c == '\\') { // an escape, \n or \u00e9, is not part of an address
            i += i + 1 < length && input[i + 1] == 'u' ? 5 : 1;
            start = i + 1;
            continue;
        }
        if (is_local(c)) continue;
        int end = c == '@' && i > start ? domain(i + 1) : i + 1;
        if (c == '@' && i > start && end > i + 1) {
            int shown = first_end(start);
            output_write(input + written, shown - written);
            output_write("***", 3);
            written = i;
            i = end - 1;
            masked = 1;
        }
        start = i + 1;
    }
    output_write(input + written, length - written);
    if (masked) set("header:X-Masked", 15, "1", 1);
    return SEND;
}

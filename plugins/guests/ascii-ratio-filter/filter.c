// A plugin in C, without a library: drops documents in which too many bytes are not ASCII.
//
//   clang --target=wasm32 -std=c11 -Oz -nostdlib -Wl,--no-entry -o filter.core.wasm filter.c
//   sli-pipe plugins pack filter.core.wasm --manifest plugin.toml -o ascii-ratio-filter.wasm
//
// The types of `wit/0.1.0/stage.wit` cross the border in the "canonical ABI" of the component model:
// * a string or a list is two 32-bit numbers, address and length (strings: bytes of UTF-8; lists: elements);
// * a record is its fields one after the other, so a document (id, text, fields) is six numbers;
// * a result that is more than one number is written to memory, and the function returns its address;
// * a variant, as `result`, is a number that says which case, then, aligned, what the case holds.
// For arguments the program asks us for memory with `cabi_realloc`. What we return lies in our memory until the call is
// over; then all of it is gone, since every call gets a fresh instance. So nothing is ever freed here.

typedef unsigned char u8;
typedef unsigned long size; // as wide as an address: 32 bits

#define EXPORT(name) __attribute__((export_name(name)))

typedef struct { const char *at; size length; } string;
typedef struct { string id, text, fields; } document;
typedef struct { const string *at; size length; } string_list;

// result<list<list<string>>, string>
typedef struct {
    u8 is_error;
    union {
        struct { const string_list *at; size length; } ok;
        string error;
    };
} filter_result;

typedef struct { string id, version; } description;

#define TEXT(literal) ((string){ literal, sizeof(literal) - 1 })

// ---- memory ---------------------------------------------------------------------------------------------------------

extern u8 __heap_base; // the linker puts it behind stack and constants
static size next_free; // 0: nothing was given yet

static void *allocate(size bytes, size align) {
    if (next_free == 0) next_free = (size)&__heap_base;
    size start = (next_free + align - 1) & ~(align - 1);
    size end = start + bytes;
    if (end < start) __builtin_trap(); // beyond 4 GiB
    size have = (size)__builtin_wasm_memory_size(0) << 16; // pages of 64 KiB
    if (end > have && __builtin_wasm_memory_grow(0, (end - have + 0xffff) >> 16) == (size)-1)
        __builtin_trap(); // the program's limit: it says so in its message
    next_free = end;
    return (void *)start;
}

// The name is fixed by the canonical ABI. The program never makes a block smaller or frees one.
EXPORT("cabi_realloc") void *cabi_realloc(void *old, size old_bytes, size align, size bytes) {
    u8 *block = allocate(bytes, align);
    for (size i = 0; i < old_bytes && i < bytes; i++) block[i] = ((const u8 *)old)[i];
    return block;
}

// ---- sli-pipe:plugin/about ------------------------------------------------------------------------------------------

EXPORT("sli-pipe:plugin/about@0.1.0#describe") const description *describe(void) {
    description *self = allocate(sizeof *self, 4);
    self->id = TEXT("ascii-ratio-filter");
    self->version = TEXT("0.1.0");
    return self;
}

// ---- options --------------------------------------------------------------------------------------------------------

// The number after `"most":`, 0.2 if there is none; -1 if it is no plain decimal number. The schema in `plugin.toml`
// lets no other key pass, so there is nothing else to read.
static double read_most(string json) {
    static const char key[] = "\"most\"";
    size at = 0, matched = 0;
    while (at < json.length && matched < sizeof key - 1) {
        matched = json.at[at] == key[matched] ? matched + 1 : json.at[at] == key[0];
        at++;
    }
    if (matched < sizeof key - 1) return 0.2;
    while (at < json.length && (json.at[at] == ':' || json.at[at] == ' ')) at++;
    double value = 0, scale = 1;
    int digits = 0, fraction = 0;
    for (; at < json.length; at++) {
        char c = json.at[at];
        if (c >= '0' && c <= '9') {
            value = value * 10 + (c - '0');
            if (fraction) scale *= 10;
            digits++;
        } else if (c == '.' && !fraction) {
            fraction = 1;
        } else if (c == ' ' || c == '\n' || c == '}') {
            break;
        } else {
            return -1;
        }
    }
    return digits ? value / scale : -1;
}

// ---- sli-pipe:plugin/document-filter --------------------------------------------------------------------------------

static int passes(string text, double most) {
    size other = 0;
    for (size i = 0; i < text.length; i++) other += (u8)text.at[i] >> 7; // the top bit: not ASCII
    return (double)other <= most * (double)text.length;
}

// Six numbers would still be passed one by one; lists are two each.
EXPORT("sli-pipe:plugin/document-filter@0.1.0#filter")
const filter_result *filter(const char *options, size options_length, const document *documents, size count) {
    filter_result *result = allocate(sizeof *result, 4);
    double most = read_most((string){ options, options_length });
    if (most < 0) {
        result->is_error = 1;
        result->error = TEXT("`most` is a plain decimal number, as 0.25");
        return result;
    }
    string_list *lists = allocate(count * sizeof *lists, 4);
    for (size i = 0; i < count; i++) {
        // One text that is the document's own: no copy. No text drops the document.
        lists[i].at = &documents[i].text;
        lists[i].length = passes(documents[i].text, most);
    }
    result->is_error = 0;
    result->ok.at = lists;
    result->ok.length = count;
    return result;
}

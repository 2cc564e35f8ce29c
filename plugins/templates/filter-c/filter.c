// {{title}}: keeps documents of at least 16 bytes.
//
// Strings and lists are an address and a length; records are their fields one after the other; a result lies in memory
// and its address is returned. The program asks for memory with `cabi_realloc`. Nothing is freed: every call gets a fresh
// instance, and all of its memory goes with it.

typedef unsigned char u8;
typedef unsigned long size; // 32 bits

#define EXPORT(name) __attribute__((export_name(name)))

typedef struct { const char *at; size length; } string;
typedef struct { string id, text, fields; } document;
typedef struct { const string *at; size length; } string_list;
typedef struct { string id, version; } description;

// result<list<list<string>>, string>: which case, then the list of the first or the text of the second.
typedef struct { u8 is_error; const void *at; size length; } filter_result;

#define TEXT(literal) ((string){ literal, sizeof(literal) - 1 })

extern u8 __heap_base; // the linker puts it behind stack and constants
static size next_free;

static void *allocate(size bytes, size align) {
    if (next_free == 0) next_free = (size)&__heap_base;
    size start = (next_free + align - 1) & ~(align - 1), end = start + bytes;
    size have = (size)__builtin_wasm_memory_size(0) << 16;
    if (end < start) __builtin_trap();
    if (end > have && __builtin_wasm_memory_grow(0, (end - have + 0xffff) >> 16) == (size)-1) __builtin_trap();
    next_free = end;
    return (void *)start;
}

EXPORT("cabi_realloc") void *cabi_realloc(void *old, size old_bytes, size align, size bytes) {
    u8 *block = allocate(bytes, align);
    for (size i = 0; i < old_bytes && i < bytes; i++) block[i] = ((const u8 *)old)[i];
    return block;
}

EXPORT("sli-pipe:plugin/about@0.1.0#describe") const description *describe(void) {
    description *self = allocate(sizeof *self, 4);
    self->id = TEXT("{{id}}");
    self->version = TEXT("0.1.0");
    return self;
}

// `options` is the stage's `with` table as JSON; this filter has none.
EXPORT("sli-pipe:plugin/document-filter@0.1.0#filter")
const filter_result *filter(const char *options, size options_length, const document *documents, size count) {
    (void)options, (void)options_length;
    string_list *lists = allocate(count * sizeof *lists, 4);
    for (size i = 0; i < count; i++) {
        lists[i].at = &documents[i].text;                  // one text: the document as it is
        lists[i].length = documents[i].text.length >= 16; // or none: it is dropped
    }
    filter_result *result = allocate(sizeof *result, 4);
    result->is_error = 0; // else `at` and `length` are those of a text that says why
    result->at = lists;
    result->length = count;
    return result;
}

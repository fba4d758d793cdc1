// Internal. The system's zlib, found at run time: the reference for our codec, never linked.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <memory>
#include <type_traits>

namespace ws::test {

// The few declarations of zlib 1.2 that we use, since its headers are no dependency of ours.
struct ZStream {
  const std::uint8_t* next_in;
  unsigned avail_in;
  unsigned long total_in;
  std::uint8_t* next_out;
  unsigned avail_out;
  unsigned long total_out;
  const char* msg;
  void* state;
  void* (*zalloc)(void*, unsigned, unsigned);
  void (*zfree)(void*, void*);
  void* opaque;
  int data_type;  // after inflate(): unused bits of the last byte, 64 last block, 128 block end
  unsigned long adler;
  unsigned long reserved;
};

enum ZFlush { kZNoFlush, kZPartialFlush, kZSyncFlush, kZFullFlush, kZFinish, kZBlock };
enum ZStatus { kZOk = 0, kZStreamEnd = 1, kZDataError = -3, kZBufError = -5 };
enum ZStrategy { kZDefault, kZFiltered, kZHuffmanOnly, kZRle, kZFixed };
inline constexpr int kZMethod = 8;

class Libz {
 public:
  // nullptr when this machine has no libz.
  static const Libz* get() {
    static const std::unique_ptr<Libz> libz = load();
    return libz.get();
  }

  // Raw streams: no zlib header. `z` is zero but for an allocator, if it is to have one of its own.
  // A deflate window of 8 bits is beyond zlib, it makes 9 of it.
  int deflate_init(ZStream* z, int level, int window_bits, int memory, int strategy) const {
    return deflate_init_(z, level, kZMethod, -window_bits, memory, strategy, version(), sizeof *z);
  }
  int inflate_init(ZStream* z, int window_bits) const {
    return inflate_init_(z, -window_bits, version(), sizeof *z);
  }

  int (*deflate)(ZStream*, int flush);
  int (*deflate_reset)(ZStream*);
  int (*deflate_end)(ZStream*);
  int (*inflate)(ZStream*, int flush);
  int (*inflate_reset)(ZStream*);
  int (*inflate_end)(ZStream*);
  int (*inflate_set_dictionary)(ZStream*, const std::uint8_t*, unsigned);
  const char* (*version)();

 private:
  static std::unique_ptr<Libz> load() {
    void* const handle = dlopen("libz.so.1", RTLD_NOW);
    if (handle == nullptr) return nullptr;
    auto libz = std::make_unique<Libz>();
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
      return function != nullptr;
    };
    const bool complete =
        find(libz->deflate_init_, "deflateInit2_") && find(libz->inflate_init_, "inflateInit2_") &&
        find(libz->deflate, "deflate") && find(libz->deflate_reset, "deflateReset") &&
        find(libz->deflate_end, "deflateEnd") && find(libz->inflate, "inflate") &&
        find(libz->inflate_reset, "inflateReset") && find(libz->inflate_end, "inflateEnd") &&
        find(libz->inflate_set_dictionary, "inflateSetDictionary") &&
        find(libz->version, "zlibVersion");
    return complete ? std::move(libz) : nullptr;
  }

  int (*deflate_init_)(ZStream*, int, int, int, int, int, const char*, int);
  int (*inflate_init_)(ZStream*, int, const char*, int);
};

}  // namespace ws::test

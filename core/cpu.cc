#include "core/cpu.h"

#include <cstdlib>
#include <string_view>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace ws::core {
namespace {

CpuFeatures detect() {
  CpuFeatures found;
#if defined(__x86_64__) || defined(__i386__)
  // The builtin also asks whether the operating system saves the AVX registers; cpuid alone does
  // not tell.
  __builtin_cpu_init();
  found.sse2 = __builtin_cpu_supports("sse2") != 0;
  found.ssse3 = __builtin_cpu_supports("ssse3") != 0;
  found.avx2 = __builtin_cpu_supports("avx2") != 0;
  found.aes = __builtin_cpu_supports("aes") != 0;
#elif defined(__aarch64__)
  found.neon = true;  // Advanced SIMD is part of every AArch64 Linux machine.
  found.aes = (getauxval(AT_HWCAP) & HWCAP_AES) != 0;
#endif
  return found;
}

// A name this machine's architecture does not know hides nothing: one list serves every machine.
void hide(CpuFeatures& features, std::string_view name) {
  if (name == "sse2") features.sse2 = false;
  if (name == "ssse3") features.ssse3 = false;
  if (name == "avx2") features.avx2 = false;
  if (name == "aes") features.aes = false;
  if (name == "neon") features.neon = false;
}

CpuFeatures detect_unhidden() {
  CpuFeatures features = detect();
  const char* list = std::getenv("WS_DISABLE_CPU");
  std::string_view names = list == nullptr ? "" : list;
  while (!names.empty()) {
    const std::string_view name = names.substr(0, names.find(','));
    hide(features, name);
    names.remove_prefix(name.size());
    if (!names.empty()) names.remove_prefix(1);  // the comma
  }
  return features;
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect_unhidden();
  return features;
}

}  // namespace ws::core

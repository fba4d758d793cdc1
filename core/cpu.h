// Internal. What this processor can do, found out once.
#pragma once

namespace ws::core {

struct CpuFeatures {
  bool sse2 = false;
  bool ssse3 = false;
  bool avx2 = false;
  bool aes = false;
  bool neon = false;
};

// WS_DISABLE_CPU=avx2,ssse3 in the environment hides features, so that every kernel can be tested
// on one machine. cost: found at the first call. thread: any.
const CpuFeatures& cpu_features();

}  // namespace ws::core

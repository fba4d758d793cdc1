#include "tests/conformance/conformance.h"

namespace ws::test {

const Cases& all_cases() {
  static const Cases kCases = [] {
    Cases cases;
    add_frames(cases);
    add_fragments(cases);
    add_control(cases);
    add_utf8(cases);
    add_close(cases);
    add_limits(cases);
    add_handshake(cases);
    add_refusals(cases);
    add_deflate(cases);
    return cases;
  }();
  return kCases;
}

}  // namespace ws::test

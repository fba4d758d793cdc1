# Part of the Makefile: how tests/ is built and run.
test_sources := $(filter-out tests/fuzz/%,$(wildcard tests/*.cc tests/*/*.cc tests/*/*/*.cc))
# Threads are in core, net and the engine; what is pure, in memory, or in a child process has none to offer.
pure_tests := $(patsubst %,tests/%_test.cc,tidy \
  $(addprefix core/,buffer buffer_pool copy cpu endian fd result slab task timer_wheel) \
  $(addprefix net/,address listener listener_unix memory_socket socket transport) \
  $(addprefix ws/,loopback opening out_queue router shard slow_consumer)) \
  tests/tls/% tests/ws/proto/% tests/ws/deflate/% tests/ws/daemon/% tests/e2e/% %/examples_test.cc \
  $(filter-out %/conformance.cc %/runner.cc %/deflate_frames.cc,$(wildcard tests/conformance/*.cc))
test_sources_tsan := $(filter-out $(pure_tests),$(test_sources))
# What is installed, and the examples, are not instrumented.
test_sources_asan := $(filter-out %/install_test.cc %/examples_test.cc,$(test_sources))
test_files := $(or $(test_sources_$(VARIANT)),$(test_sources))

# A test runs once for each time it is compiled: optimising pays only where millions of streams or cuts are made, and
# undefined behaviour is looked for in what is tested. Most of the time goes into headers, so those that all tests
# share are compiled once, by each compiler for itself.
slow_tests := tests/ws/deflate/% tests/ws/proto/utf8_test.cc \
  $(patsubst %,tests/conformance/%.cc,conformance deflate_frames protocol_test runner)
test_flags = $(if $(filter file,$(origin CXXFLAGS)),$(if $(filter $(slow_tests),$(parts)),-O1,-O0)) \
  $(if $(filter asan,$(VARIANT)),-fno-sanitize=undefined) $(if $(filter $(slow_tests),$(parts)),,-include $(precompiled))
precompiled := $(B)/$(notdir $(lastword $(CXX))).h

fast = $(filter-out $(slow_tests),$(filter $(wildcard $(1)*.cc),$(test_files)))
slow = $(filter $(slow_tests),$(filter $(wildcard $(1)*.cc),$(test_files)))
$(foreach where,$(sort $(dir $(test_files))),\
  $(eval $(call unit,$(where),$(call fast,$(where)),one))$(eval $(call unit,$(where)slow,$(call slow,$(where)),one)))
test_objects := $(patsubst %.cc,%.o,$(filter $(B)/tests/%,$(units)))

$(test_objects): %.o: %.cc | $(precompiled).gch
	@echo "  c++ $(parts)"
	@$(CXX) $(flags) $(test_flags) -c $< -o $@

$(precompiled).gch: private parts = $<
$(precompiled).gch: tests/support/precompiled.h | $(B)/openssl
	@echo '#include "$<"' >$(precompiled)
	@$(CXX) $(filter-out -include $(precompiled),$(flags) $(test_flags)) -x c++-header $(precompiled) -o $@

$(B)/wstests: $(test_objects) $(filter-out %/main.o,$(daemon_objects)) $(B)/libws.a \
  | $(if $(filter %/examples_test.cc,$(test_files)),$(examples))
	@echo "  link $@"
	@$(CXX) $(flags) $^ -o $@ -lgtest -lgtest_main $(libraries) -ldl

.PHONY: test asan tsan check fuzz test-deps
# Against the wsd of the same variant, in four parts at once: most tests wait. T='--gtest_filter=Utf8*' runs a part.
test: test-deps
	@$(MAKE) --no-print-directory $(B)/wstests $(B)/wsd
	@for part in 0 1 2 3; do GTEST_TOTAL_SHARDS=4 GTEST_SHARD_INDEX=$$part WSD=$(B)/wsd \
	  $(B)/wstests --gtest_brief=1 $(T) >$(B)/tests.$$part.log 2>&1 & parts="$$parts $$!"; done; \
	for part in $$parts; do wait $$part || failed=1; done; cat $(B)/tests.?.log; [ -z "$$failed" ] || \
	  { echo "What failed, again:"; grep -h -B 12 -A 12 -E '^\[  FAILED|ERROR: |WARNING: Thr|runtime error: |check failed: ' $(B)/tests.?.log; exit 1; }

asan tsan:
	@$(MAKE) --no-print-directory test VARIANT=$@
check: test asan tsan

# For clang. FUZZ_S: seconds for each target.
FUZZ_S ?= 60
fuzz: $(patsubst tests/fuzz/%.cc,build/fuzz/%,$(wildcard tests/fuzz/*.cc))
	@for target in $^; do mkdir -p $$target.corpus && $$target -max_total_time=$(FUZZ_S) $$target.corpus || exit 1; done
fuzz_sources := core/buffer.cc core/copy.cc core/cpu.cc $(wildcard ws/deflate/*.cc ws/proto/http*.cc)
build/fuzz/%: tests/fuzz/%.cc $(fuzz_sources) $(wildcard core/*.h ws/deflate/*.h ws/proto/*.h)
	@mkdir -p $(@D)
	@echo "  clang++ $<"
	@clang++ $(required_flags) -O1 -g -fsanitize=fuzzer,address,undefined $< $(fuzz_sources) -o $@

test_needs := $(build_needs) /usr/include/gtest/gtest.h=libgtest-dev
client_needs := /usr/lib/python3/dist-packages/websockets=python3-websockets curl=curl
install_needs := cmake=cmake pkg-config=pkgconf clang++=clang
clang_runtime := $(firstword $(wildcard /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan-*.a) none)
sanitizer_needs := $(clang_runtime)=libclang-rt-dev
# Other people's clients, and what may use an installed library, for the end-to-end tests; without a registry these
# skip themselves and say so.
test-deps:
	$(call install,$(test_needs))
	-$(call install,$(client_needs))
	-$(call install,$(node_needs))
	-$(call install,$(install_needs))
	-$(call install,$(sanitizer_needs))
	-@[ -d build/clients/node_modules/ws ] || npm install --silent --no-audit --no-fund --prefix build/clients ws@8

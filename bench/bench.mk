# Part of the Makefile: how the programs of bench/ are built and run. bench/README.md says how to read what they print.
bench_mains := $(shell grep -ls '^int main' bench/*.cc)
bench_helpers := $(call objects,$(filter-out $(bench_mains),$(wildcard bench/*.cc)))
bench_programs := $(patsubst bench/%.cc,$(B)/bench/%,$(bench_mains))

$(bench_programs): $(B)/bench/%: $(B)/bench/%.o $(bench_helpers) $(B)/libws.a
	@echo "  link $@"
	@$(CXX) $(flags) $^ -o $@ $(libraries) -ldl

# Other people's servers. One whose packages or compiler fail is missing in the report, and named there.
$(B)/bench/peers/libwebsockets: peer_libraries := -lwebsockets -lssl -lcrypto
$(B)/bench/peers/beast: peer_libraries := -lssl -lcrypto
$(B)/bench/peers/%: bench/peers/%.cc
	@mkdir -p $(@D)
	@echo "  c++ $<"
	@$(CXX) -std=c++20 -O2 -DNDEBUG -pthread $< -o $@ $(peer_libraries)

peer_programs = $(B)/bench/peers/libwebsockets $(B)/bench/peers/beast
bench_needs = python3=python3 openssl=openssl gnuplot=gnuplot-nox
peer_needs = /usr/include/libwebsockets.h=libwebsockets-dev /usr/include/boost/version.hpp=libboost-dev $(node_needs)
count_needs = python3=python3 openssl=openssl valgrind=valgrind

.PHONY: bench-programs bench-deps bench-peers bench bench-micro bench-counts
bench-programs: all $(bench_programs)

bench-deps:
	$(call install,$(build_needs) $(bench_needs))
bench-peers:
	-$(call install,$(peer_needs))
	-@[ -d build/peers/node_modules/bun ] || npm install --silent --no-audit --no-fund --prefix build/peers ws@8 bufferutil@4 bun
	-@$(MAKE) --no-print-directory -k $(peer_programs)

# About 5 minutes; the results are in bench/results. BENCH="--peer name=command" adds a server, see bench/bench.py --help.
bench: bench-deps bench-peers
	@$(MAKE) --no-print-directory bench-programs
	@python3 bench/bench.py $(BENCH)

bench-micro:
	@$(MAKE) --no-print-directory bench-programs
	@$(B)/bench/micro && $(B)/bench/micro_deflate

bench-counts:
	$(call install,$(build_needs) $(count_needs))
	@$(MAKE) --no-print-directory bench-programs
	@python3 bench/counts.py $(COUNTS)

# find_package(ws): the target ws::ws, with include path, OpenSSL and threads.
include(CMakeFindDependencyMacro)
find_dependency(OpenSSL 3.0)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)

if(NOT TARGET ws::ws)
  get_filename_component(ws_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
  add_library(ws::ws STATIC IMPORTED)
  set_target_properties(ws::ws PROPERTIES
    IMPORTED_LOCATION "${ws_prefix}/lib/libws.a"
    IMPORTED_LINK_INTERFACE_LANGUAGES CXX
    INTERFACE_COMPILE_FEATURES cxx_std_20
    INTERFACE_INCLUDE_DIRECTORIES "${ws_prefix}/include/ws"
    INTERFACE_LINK_LIBRARIES "OpenSSL::SSL;OpenSSL::Crypto;Threads::Threads")
  unset(ws_prefix)
endif()

# ars_layer(NAME DEPENDENCY...) makes the layer in src/NAME: an object library, and from it the static library
# arsenal::NAME.  Its sources are the files that lie in the folder: .c files, and those of the platform's and
# the CPU's folders.  A layer without sources yet is headers only.

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(ARS_CPU x86_64)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  set(ARS_CPU aarch64)
else()
  # No context switch for it: what stands on one is left out.
  set(ARS_CPU other)
  message(STATUS "${CMAKE_SYSTEM_PROCESSOR}: without coroutines, tasks and I/O")
endif()
if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  message(FATAL_ERROR "Arsenal has no os/ folder for ${CMAKE_SYSTEM_NAME} (Linux only)")
endif()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

set(ARS_WARNINGS -Wall -Wextra -Wshadow -Wvla -Wpointer-arith
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>)
if(ARSENAL_WERROR)
  list(APPEND ARS_WARNINGS -Werror)
endif()
set(ARS_SANITIZE_FLAGS "")
if(ARSENAL_SANITIZE STREQUAL "undefined")
  set(ARS_SANITIZE_FLAGS -fsanitize=undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
elseif(ARSENAL_SANITIZE MATCHES "^(address|thread)$")
  set(ARS_SANITIZE_FLAGS -fsanitize=${ARSENAL_SANITIZE} -fno-omit-frame-pointer -g)
elseif(ARSENAL_SANITIZE)
  message(FATAL_ERROR "ARSENAL_SANITIZE is '${ARSENAL_SANITIZE}'; it can be address, undefined or thread")
endif()

set_property(GLOBAL PROPERTY ARS_LAYERS "")
# As a part of another project, what that project does not link is not built.
set(ARS_EXCLUDE "")
if(NOT top_level AND NOT ARSENAL_INSTALL)
  set(ARS_EXCLUDE EXCLUDE_FROM_ALL)
endif()

# What the library and the programs of this tree are compiled with.
function(ars_compile target)
  target_compile_features(${target} PRIVATE c_std_11)
  target_compile_options(${target} PRIVATE ${ARS_WARNINGS})
  if(ARSENAL_ASSERT)
    target_compile_definitions(${target} PRIVATE ARS_ASSERT=1)
  else()
    target_compile_definitions(${target} PRIVATE $<$<CONFIG:Debug>:ARS_ASSERT=1>)
  endif()
  if(ARSENAL_SANITIZE STREQUAL "thread")
    target_compile_definitions(${target} PRIVATE ARS_TSAN=1)
  endif()
endfunction()

function(ars_layer name)
  if(ARS_CPU STREQUAL "other" AND "coro" IN_LIST ARGV)
    return()
  endif()
  set(dir ${PROJECT_SOURCE_DIR}/src/${name})
  file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.c ${dir}/linux/*.c ${dir}/posix/*.c ${dir}/ctx/${ARS_CPU}*.S)
  if(NOT sources)
    return()
  endif()
  add_library(arsenal_${name}_objects OBJECT ${ARS_EXCLUDE} ${sources})
  target_include_directories(arsenal_${name}_objects PUBLIC ${PROJECT_SOURCE_DIR}/include
                             PRIVATE ${PROJECT_SOURCE_DIR}/src)
  set_target_properties(arsenal_${name}_objects PROPERTIES
    C_EXTENSIONS ON C_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON INTERPROCEDURAL_OPTIMIZATION OFF)
  ars_compile(arsenal_${name}_objects)
  # initial-exec: the few thread-local words are read without a call, also in the shared library.
  # Interposition of hidden symbols is impossible anyway.
  target_compile_options(arsenal_${name}_objects PRIVATE -ftls-model=initial-exec -fno-semantic-interposition)
  # Under TSan the library itself is not instrumented: see src/base/san.h.
  if(NOT ARSENAL_SANITIZE STREQUAL "thread")
    target_compile_options(arsenal_${name}_objects PRIVATE $<$<COMPILE_LANGUAGE:C>:${ARS_SANITIZE_FLAGS}>)
  endif()
  target_link_libraries(arsenal_${name}_objects PUBLIC Threads::Threads)

  add_library(arsenal_${name} STATIC ${ARS_EXCLUDE} $<TARGET_OBJECTS:arsenal_${name}_objects>)
  add_library(arsenal::${name} ALIAS arsenal_${name})
  set_target_properties(arsenal_${name} PROPERTIES EXPORT_NAME ${name})
  ars_usage(arsenal_${name})
  foreach(dependency ${ARGN})
    if(TARGET arsenal_${dependency})
      target_link_libraries(arsenal_${name} PUBLIC arsenal_${dependency})
    endif()
  endforeach()
  set_property(GLOBAL APPEND PROPERTY ARS_LAYERS ${name})
endfunction()

# What a user of the target needs.
function(ars_usage target)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target} PUBLIC Threads::Threads)
endfunction()

# arsenal::arsenal (all layers in one static library) and arsenal::shared.
function(ars_umbrella)
  get_property(layers GLOBAL PROPERTY ARS_LAYERS)
  set(objects "")
  foreach(layer ${layers})
    list(APPEND objects $<TARGET_OBJECTS:arsenal_${layer}_objects>)
  endforeach()
  add_library(arsenal STATIC ${ARS_EXCLUDE} ${objects})
  add_library(arsenal::arsenal ALIAS arsenal)
  ars_usage(arsenal)
  add_library(arsenal_shared SHARED ${ARS_EXCLUDE} ${objects})
  add_library(arsenal::shared ALIAS arsenal_shared)
  # Before 1.0 a minor version may change the ABI, so the SONAME has both numbers.
  set_target_properties(arsenal_shared PROPERTIES OUTPUT_NAME arsenal EXPORT_NAME shared
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/arsenal.map)
  target_link_options(arsenal_shared PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/arsenal.map)
  # A sanitizer's functions are in the program, not in a library.
  if(NOT ARSENAL_SANITIZE)
    target_link_options(arsenal_shared PRIVATE -Wl,--no-undefined)
  endif()
  ars_usage(arsenal_shared)
endfunction()

# ars_program(NAME SOURCE...) makes a program of this tree: a test, a tool, an example.
function(ars_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE arsenal::arsenal)
  ars_compile(${name})
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:C,CXX>:${ARS_SANITIZE_FLAGS}>)
  target_link_options(${name} PRIVATE ${ARS_SANITIZE_FLAGS})
endfunction()

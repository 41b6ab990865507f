# seqgpu_own(target): what all of our own code is compiled with, and nobody else's.
function(seqgpu_own target)
  target_compile_options(${target} PRIVATE -Wall -Wextra $<$<BOOL:${SEQGPU_WERROR}>:-Werror>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict)  # fires inside std::string (GCC bug 105651)
  endif()
  if(SEQGPU_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${SEQGPU_SANITIZE} -fno-omit-frame-pointer
                                             -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=${SEQGPU_SANITIZE})
  endif()
endfunction()

# seqgpu_library_sources(target): include paths, visibility and definitions of a part of the library.
function(seqgpu_library_sources target)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/host
                                               ${PROJECT_SOURCE_DIR})
  if(SEQGPU_X86)
    target_compile_definitions(${target} PRIVATE SEQGPU_SIMD_X86=1)
  endif()
  if(BUILD_SHARED_LIBS)
    target_compile_definitions(${target} PRIVATE SEQGPU_SHARED_BUILD)
    set_target_properties(${target} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  endif()
endfunction()

string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" processor)
set(SEQGPU_X86 OFF)
if(processor MATCHES "^(x86_64|amd64)$")
  set(SEQGPU_X86 ON)
endif()

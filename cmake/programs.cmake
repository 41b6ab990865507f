# The tool: everything in tools/seqgpu, over the public API.
file(GLOB tool_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tools/seqgpu/*.cpp)
if(SEQGPU_TOOL AND tool_sources)
  find_package(CLI11 2.1 REQUIRED)
  find_package(tomlplusplus 3.3 REQUIRED)
  find_package(fmt 9 REQUIRED)
  # All but main.cpp is a library, so that tests reach it.
  list(FILTER tool_sources EXCLUDE REGEX "/main\\.cpp$")
  add_library(seqgpu_tool_parts STATIC ${tool_sources})
  add_executable(seqgpu_tool ${PROJECT_SOURCE_DIR}/tools/seqgpu/main.cpp)
  set_target_properties(seqgpu_tool PROPERTIES OUTPUT_NAME seqgpu)
  foreach(target IN ITEMS seqgpu_tool_parts seqgpu_tool)
    seqgpu_own(${target})
    target_compile_options(${target} PRIVATE -ffp-contract=off)
    target_compile_definitions(${target} PRIVATE SEQGPU_VERSION="${PROJECT_VERSION}")
  endforeach()
  target_link_libraries(seqgpu_tool_parts PUBLIC seqgpu CLI11::CLI11 tomlplusplus::tomlplusplus fmt::fmt
                                                 nlohmann_json::nlohmann_json)
  target_link_libraries(seqgpu_tool PRIVATE seqgpu_tool_parts)
endif()

# Every examples/*.cpp is a program of its own, and a test.
file(GLOB examples CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*.cpp)
if(SEQGPU_EXAMPLES)
  foreach(source IN LISTS examples)
    cmake_path(GET source STEM name)
    add_executable(example_${name} ${source})
    set_target_properties(example_${name} PROPERTIES OUTPUT_NAME ${name}
                                                     RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin/examples)
    seqgpu_own(example_${name})
    target_link_libraries(example_${name} PRIVATE seqgpu)
    if(SEQGPU_TESTS)
      add_test(NAME example.${name} COMMAND example_${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
      set_tests_properties(example.${name} PROPERTIES LABELS example TIMEOUT 300)
    endif()
  endforeach()
endif()

# Every benchmarks/*.cpp is a program of its own; Google Benchmark is there for those that want it.
file(GLOB benchmarks CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/benchmarks/*.cpp)
if(SEQGPU_BENCHMARKS AND benchmarks)
  find_package(benchmark QUIET)
  foreach(source IN LISTS benchmarks)
    cmake_path(GET source STEM name)
    add_executable(benchmark_${name} ${source})
    set_target_properties(benchmark_${name} PROPERTIES OUTPUT_NAME ${name}
                                                       RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin/benchmarks)
    seqgpu_own(benchmark_${name})
    target_include_directories(benchmark_${name} PRIVATE ${PROJECT_SOURCE_DIR}/benchmarks)
    target_link_libraries(benchmark_${name} PRIVATE seqgpu_internal nlohmann_json::nlohmann_json
                                                    $<TARGET_NAME_IF_EXISTS:benchmark::benchmark>)
  endforeach()
endif()

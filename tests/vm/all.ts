/**
 * All tests of this folder in one module: on an emulated processor it takes half a minute to load what they share.
 *
 * @module
 */
import "./agent_test.ts";
import "./ipvs_genl_test.ts";
import "./ipvsadm_test.ts";
import "./kernel_services_test.ts";
import "./kernel_test.ts";
import "./reconcile_test.ts";
import "./services_test.ts";

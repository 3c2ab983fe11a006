import type { Tool } from './define-tool.ts';
import { initializeProject } from './project.ts';

/** Every tool there is, in the order clients show them. */
export const ALL_TOOLS: readonly Tool[] = [initializeProject];

/** The parameter `expand[]` and the expansion of responses. */
import 'reflect-metadata';
import type { Tenant } from '../../src/database';
import {
  declareReferences,
  Expander,
  ExpandParam,
  InvalidRequestError,
  WireValidationPipe,
  type WireObject,
} from '../../src/wire';

interface Crew extends WireObject {
  readonly ship: string | Ship | null;
}
interface Ship extends WireObject {
  readonly port: string | WireObject | null;
  readonly papers: { readonly owner: string | WireObject | null };
}

declareReferences('crew', { ship: 'ship' });
declareReferences('ship', { port: 'port', 'papers.owner': 'crew' });
declareReferences('port', { nearest: 'port' });

class CrewParams {
  @ExpandParam('crew')
  expand?: string[];
}
class CrewListParams {
  @ExpandParam('crew', 'list')
  expand?: string[];
}

const TENANT: Tenant = { account: 'shop', livemode: false };

const crew = (id: string, ship: string | null): Crew => ({ id, object: 'crew', ship });
const ship = (id: string, port: string | null, owner: string | null = null): Ship => ({
  id,
  object: 'ship',
  port,
  papers: { owner },
});

describe('expand', () => {
  const asked: [string, Tenant, readonly string[]][] = [];
  let expander: Expander;

  beforeEach(() => {
    asked.length = 0;
    expander = new Expander();
    const objects: Record<string, WireObject[]> = {
      crew: [crew('crew_1', 'ship_1'), crew('crew_2', 'ship_2')],
      ship: [ship('ship_1', 'port_1', 'crew_2'), ship('ship_2', 'port_1')],
      port: [{ id: 'port_1', object: 'port', nearest: null } as WireObject],
    };
    for (const [object, all] of Object.entries(objects)) {
      expander.register(object, (tenant, ids) => {
        asked.push([object, tenant, ids]);
        return Promise.resolve(all.filter(({ id }) => ids.includes(id)));
      });
    }
  });

  it('replaces a reference by the object it names', async () => {
    const expanded = await expander.expand(TENANT, crew('crew_9', 'ship_1'), ['ship']);
    expect(expanded.ship).toEqual(ship('ship_1', 'port_1', 'crew_2'));
  });

  it('reaches four levels deep, through hashes too, and needs no path for the way', async () => {
    const path = 'ship.papers.owner.ship';
    const expanded = await expander.expand(TENANT, crew('crew_9', 'ship_1'), [path, 'ship.port']);
    expect(expanded).toMatchObject({
      ship: {
        id: 'ship_1',
        port: { id: 'port_1' },
        papers: { owner: { id: 'crew_2', ship: { id: 'ship_2', port: 'port_1' } } },
      },
    });
  });

  it('asks once for each path and kind of object, however long a list is', async () => {
    const data = Array.from({ length: 100 }, (_, n) => crew(`crew_${n}`, `ship_${(n % 2) + 1}`));
    const list = { object: 'list', data, has_more: false, url: '/v1/crews' };
    const expanded = await expander.expand(TENANT, list, ['data.ship', 'data.ship.port']);
    expect(expanded.data[99]?.ship).toMatchObject({ id: 'ship_2', port: { id: 'port_1' } });
    expect(asked).toEqual([
      ['ship', TENANT, ['ship_1', 'ship_2']],
      ['port', TENANT, ['port_1']],
    ]);
  });

  it('leaves null, and what names nothing the tenant can see, as it is', async () => {
    const empty = await expander.expand(TENANT, crew('crew_9', null), ['ship.port']);
    expect(empty.ship).toBeNull();
    const gone = await expander.expand(TENANT, crew('crew_9', 'ship_gone'), ['ship.port']);
    expect(gone.ship).toBe('ship_gone');
  });

  it('changes nothing that was not asked for', async () => {
    const before = crew('crew_9', 'ship_1');
    expect(await expander.expand(TENANT, { ...before }, undefined)).toEqual(before);
    expect(asked).toEqual([]);
  });

  describe('as a parameter', () => {
    const pipe = new WireValidationPipe();
    const refusal = (metatype: new () => object, expand: unknown): InvalidRequestError => {
      try {
        pipe.transform({ expand }, { type: 'query', metatype });
      } catch (error) {
        return error as InvalidRequestError;
      }
      throw new Error('it was accepted');
    };

    it.each([
      ['a list', ['ship', 'ship.port']],
      ['indices', { '0': 'ship', '1': 'ship.papers.owner' }],
      ['nothing', []],
    ])('takes %s', (_, expand) => {
      const accepted = pipe.transform({ expand }, { type: 'query', metatype: CrewParams });
      expect(accepted).toEqual({ expand: Object.values(expand) });
    });

    it.each<[string, new () => object, unknown, string]>([
      ['an unknown field', CrewParams, ['captain'], 'This property cannot be expanded (captain).'],
      ['a field of a reference', CrewParams, ['ship.name'], '(ship.name)'],
      ['a hash on the way', CrewParams, ['ship.papers'], '(ship.papers)'],
      ['a reference of a reference', CrewParams, ['port'], '(port)'],
      ['an inherited name', CrewParams, ['constructor'], '(constructor)'],
      [
        'five levels',
        CrewParams,
        ['ship.port.nearest.nearest.nearest'],
        'You cannot expand more than 4 levels of a property',
      ],
      [
        'a field of a list',
        CrewListParams,
        ['ship'],
        "You may want to try expanding 'data.ship' instead.",
      ],
      ['data alone', CrewListParams, ['data'], '(data)'],
      ['text', CrewParams, 'ship', 'send expand as a list'],
      ['a number', CrewParams, [7], '(7)'],
      ['21 paths', CrewParams, Array.from({ length: 21 }, () => 'ship'), 'at most 20'],
    ])('refuses %s with 400', (_, query, expand, words) => {
      const error = refusal(query, expand);
      expect(error).toBeInstanceOf(InvalidRequestError);
      expect(error.status).toBe(400);
      expect(error.param).toBe('expand');
      expect(error.message).toContain(words);
    });
  });
});
